/* A table of numbers and categories: normalized, looked up, hashed and crossed within one model. */
#include <klayers/klayers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 400, NUMBERS = 4 };

typedef struct table {
    float numbers[MOST][NUMBERS]; /* bill length and depth, flipper length, body mass */
    char species[MOST][16], island[MOST][16];
    float male[MOST];
    int64_t count;
} table;

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

/* The rows without a gap. */
static int read_table(const char *path, table *t)
{
    FILE *file = fopen(path, "r");
    char line[200], sex[16];
    if (!file)
        return -1;
    while (t->count < MOST && fgets(line, sizeof line, file)) {
        float *n = t->numbers[t->count];
        if (sscanf(line, "%15[^,],%15[^,],%f,%f,%f,%f,%15[a-z]", t->species[t->count],
                   t->island[t->count], &n[0], &n[1], &n[2], &n[3], sex) == 7)
            t->male[t->count++] = !strcmp(sex, "male");
    }
    return fclose(file);
}

/* A part of the table as the model takes it. */
typedef struct part {
    kl_tensor *numbers, *species, *island, *male;
} part;

/* The file is sorted: every fourth row of a stride through it goes to one part. */
static part take_part(const table *t, bool held_out)
{
    static float numbers[MOST][NUMBERS], male[MOST];
    const char *species[MOST], *island[MOST];
    int64_t count = 0;
    for (int64_t i = 0; i < t->count; i++) {
        int64_t row = i * 101 % t->count;
        if ((i % 4 == 0) != held_out)
            continue;
        memcpy(numbers[count], t->numbers[row], sizeof numbers[0]);
        species[count] = t->species[row];
        island[count] = t->island[row];
        male[count++] = t->male[row];
    }
    const int64_t column[] = {count, 1}, wide[] = {count, NUMBERS};
    return (part){kl_from_data(KL_FLOAT32, 2, wide, numbers), kl_from_strings(2, column, species),
                  kl_from_strings(2, column, island), kl_from_data(KL_FLOAT32, 2, column, male)};
}

static void release_part(part *p)
{
    kl_release(p->numbers);
    kl_release(p->species);
    kl_release(p->island);
    kl_release(p->male);
}

static double majority(const part *p)
{
    double males = 0, count = (double)kl_tensor_size(p->male);
    for (int64_t i = 0; i < kl_tensor_size(p->male); i++)
        males += kl_tensor_at(p->male, i);
    return (males > count - males ? males : count - males) / count;
}

/* Raw columns in, so that whoever has the model's file needs nothing else. */
static kl_model *make_model(const part *train)
{
    kl_layer *normalization = kl_normalization();
    kl_layer *species_rows = kl_string_lookup(.output_mode = "one_hot");
    if (kl_layer_adapt(normalization, train->numbers) ||
        kl_layer_adapt(species_rows, train->species))
        return NULL;
    kl_tensor *numbers = kl_input(.shape = {NUMBERS}, .name = "numbers");
    kl_tensor *species = kl_input(.shape = {1}, .dtype = "string", .name = "species");
    kl_tensor *island = kl_input(.shape = {1}, .dtype = "string", .name = "island");
    kl_tensors crossed = kl_call_with(kl_hashed_crossing(.num_bins = 16, .output_mode = "one_hot"),
                                      .inputs = {species, island});
    if (!crossed.at)
        return NULL;
    kl_tensors all = kl_call_with(
        kl_concatenate(),
        .inputs = {kl_call(normalization, numbers), kl_call(species_rows, species),
                   kl_call(kl_hashing(.num_bins = 8, .output_mode = "one_hot"), island),
                   crossed.at[0]});
    if (!all.at)
        return NULL;
    kl_tensor *x = kl_call(kl_dense(.units = 16, .activation = "relu"), all.at[0]);
    x = kl_call(kl_dense(.units = 1, .activation = "sigmoid"), x);
    return kl_functional(.inputs = {numbers, species, island}, .outputs = {x}, .name = "sex");
}

int main(void)
{
    static table t;
    kl_set_random_seed(4);
    if (read_table(KL_EXAMPLE_DATA "/penguins.csv", &t) || t.count < 8) {
        perror(KL_EXAMPLE_DATA "/penguins.csv");
        return 1;
    }
    part train = take_part(&t, false), test = take_part(&t, true);
    kl_model *model = make_model(&train);
    if (!model)
        return fail("the model");
    kl_summary(model, stdout);
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 1e-2f), .loss = "binary_crossentropy",
               .metrics = {"accuracy"});
    kl_history *history =
        kl_fit(model, NULL, NULL, .inputs = {train.numbers, train.species, train.island},
               .targets = {train.male}, .epochs = 40, .verbose = 0);
    kl_history *result = history ? kl_evaluate(model, NULL, NULL,
                                               .inputs = {test.numbers, test.species, test.island},
                                               .targets = {test.male})
                                 : NULL;
    if (!result)
        return fail("training");
    printf("%lld penguins, held-out accuracy: %.3f, always the more frequent sex: %.3f\n",
           (long long)t.count, kl_history_last(result, "accuracy"), majority(&test));
    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    release_part(&train);
    release_part(&test);
    kl_shutdown();
    return 0;
}
