/* A GRU that forecasts next month's carbon dioxide from the two years before. */
#include <klayers/klayers.h>
#include <math.h>
#include <stdio.h>

enum { WINDOW = 24, TEST = 120 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

/* Windows of monthly changes [samples, WINDOW, 1] and the change after each: [first, last). */
static void make_windows(const float *co2, int64_t first, int64_t last, kl_tensor **x,
                         kl_tensor **y)
{
    int64_t count = last - first;
    *x = kl_zeros(KL_FLOAT32, 3, (const int64_t[]){count, WINDOW, 1});
    *y = kl_zeros(KL_FLOAT32, 2, (const int64_t[]){count, 1});
    float *to = kl_tensor_mutable_data(*x), *target = kl_tensor_mutable_data(*y);
    for (int64_t i = 0; i < count; i++) {
        const float *now = co2 + first + i;
        for (int64_t t = 0; t < WINDOW; t++)
            to[i * WINDOW + t] = now[t - WINDOW] - now[t - WINDOW - 1];
        target[i] = now[0] - now[-1];
    }
}

static double root_mean_square(const float *co2, const float *forecast, int64_t first,
                               int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += pow(forecast[i] - co2[first + i], 2);
    return sqrt(sum / (double)count);
}

static void draw_line(FILE *file, const float *values, int64_t count, float low, float high,
                      const char *style)
{
    fprintf(file, "<polyline fill=\"none\" %s points=\"", style);
    for (int64_t i = 0; i < count; i++)
        fprintf(file, "%.1f,%.1f ", 60 + 720.0 * (double)i / (double)(count - 1),
                340 - 300.0 * (double)((values[i] - low) / (high - low)));
    fprintf(file, "\"/>\n");
}

static int draw(const char *path, const float *truth, const float *forecast, int64_t count)
{
    FILE *file = fopen(path, "w");
    float low = truth[0], high = truth[0];
    if (!file)
        return -1;
    for (int64_t i = 0; i < count; i++) {
        low = fminf(low, fminf(truth[i], forecast[i]));
        high = fmaxf(high, fmaxf(truth[i], forecast[i]));
    }
    fprintf(
        file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"400\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n"
        "<rect width=\"800\" height=\"400\" fill=\"white\"/>\n"
        "<text x=\"60\" y=\"24\">Carbon dioxide at Mauna Loa, ppm: measured (black) and forecast "
        "a month ahead (red)</text>\n");
    for (int i = 0; i <= 4; i++) {
        double y = 340 - 75.0 * i;
        fprintf(file,
                "<line x1=\"60\" x2=\"780\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                "<text x=\"15\" y=\"%.1f\">%.0f</text>\n",
                y, y, y + 4, (double)(low + (high - low) * (float)i / 4));
    }
    for (int year = 1992; year <= 2001; year++)
        fprintf(file, "<text x=\"%.1f\" y=\"362\">%d</text>\n", 60 + 72.0 * (year - 1992), year);
    draw_line(file, truth, count, low, high, "stroke=\"black\" stroke-width=\"2\"");
    draw_line(file, forecast, count, low, high, "stroke=\"red\" stroke-width=\"1.2\"");
    fprintf(file, "</svg>\n");
    return fclose(file);
}

int main(int argc, char **argv)
{
    const char *picture = argc > 1 ? argv[1] : "forecast.svg";
    kl_set_random_seed(3);
    kl_tensor *series = kl_npy_load(KL_EXAMPLE_DATA "/co2.npy"), *x, *y, *x_test, *y_test;
    if (!series)
        return fail("the data");
    const float *co2 = kl_tensor_data(series);
    int64_t months = kl_tensor_size(series), split = months - TEST;
    make_windows(co2, WINDOW + 1, split, &x, &y);
    make_windows(co2, split, months, &x_test, &y_test);

    kl_model *model = kl_sequential(.name = "forecast");
    kl_add(model, kl_input_layer(.shape = {WINDOW, 1}));
    kl_add(model, kl_gru(.units = 24));
    kl_add(model, kl_dense(.units = 1));
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 5e-3f), .loss = "mse");
    kl_history *history = kl_fit(model, x, y, .epochs = 80, .batch_size = 32, .verbose = 0);
    if (!history)
        return fail("training");
    printf("training loss: %.4f\n", kl_history_last(history, "loss"));

    kl_tensor *change = kl_predict(model, x_test);
    if (!change)
        return fail("forecast");
    float forecast[TEST], last[TEST], seasonal[TEST];
    for (int64_t i = 0; i < TEST; i++) {
        last[i] = co2[split + i - 1];
        seasonal[i] = co2[split + i - 12];
        forecast[i] = last[i] + (float)kl_tensor_at(change, i);
    }
    printf("error a month ahead (root mean square, ppm) over the last %d months:\n", TEST);
    printf("  GRU                       %.3f\n", root_mean_square(co2, forecast, split, TEST));
    printf("  last value                %.3f\n", root_mean_square(co2, last, split, TEST));
    printf("  same month a year before  %.3f\n", root_mean_square(co2, seasonal, split, TEST));
    if (draw(picture, co2 + split, forecast, TEST)) {
        perror(picture);
        return 1;
    }
    printf("drawn: %s\n", picture);

    kl_history_free(history);
    kl_layer_release(model);
    kl_tensor *all[] = {series, x, y, x_test, y_test, change};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    kl_shutdown();
    return 0;
}
