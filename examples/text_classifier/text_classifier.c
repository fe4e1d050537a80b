/* Tells the language of short texts: characters, an embedding, an LSTM each way. */
#include <klayers/klayers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4000, LANGUAGES = 16 };

typedef struct texts {
    char *lines[MOST];
    const char *names[MOST];
    int32_t labels[MOST];
    int64_t count;
    char languages[LANGUAGES][8];
    int language_count;
} texts;

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

static int32_t label_of(texts *t, const char *language)
{
    for (int i = 0; i < t->language_count; i++)
        if (!strcmp(t->languages[i], language))
            return i;
    if (t->language_count == LANGUAGES)
        return 0;
    snprintf(t->languages[t->language_count], sizeof t->languages[0], "%.7s", language);
    return t->language_count++;
}

/* Lines of a language, a tab and a name. */
static int read_texts(const char *path, texts *t)
{
    FILE *file = fopen(path, "r");
    char line[512];
    if (!file)
        return -1;
    while (t->count < MOST && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = 0;
        t->labels[t->count] = label_of(t, line);
        size_t size = strlen(tab + 1) + 1;
        char *copy = malloc(size);
        if (!copy)
            break;
        memcpy(copy, tab + 1, size);
        t->lines[t->count] = copy;
        t->names[t->count++] = copy;
    }
    return fclose(file);
}

static double majority(const texts *t, int64_t first)
{
    int counts[LANGUAGES] = {0}, most = 0;
    for (int64_t i = first; i < t->count; i++)
        counts[t->labels[i]]++;
    for (int i = 0; i < LANGUAGES; i++)
        most = counts[i] > most ? counts[i] : most;
    return (double)most / (double)(t->count - first);
}

int main(void)
{
    static texts t;
    kl_set_random_seed(5);
    if (read_texts(KL_EXAMPLE_DATA "/names.tsv", &t) || !t.count) {
        perror(KL_EXAMPLE_DATA "/names.tsv");
        return 1;
    }
    int64_t split = t.count * 4 / 5, rest = t.count - split;
    kl_tensor *x = kl_from_strings(2, (const int64_t[]){split, 1}, t.names);
    kl_tensor *x_test = kl_from_strings(2, (const int64_t[]){rest, 1}, t.names + split);
    kl_tensor *y = kl_from_data(KL_INT32, 1, &split, t.labels);
    kl_tensor *y_test = kl_from_data(KL_INT32, 1, &rest, t.labels + split);

    kl_layer *characters = kl_text_vectorization(.standardize = "lower", .split = "character",
                                                 .output_sequence_length = 40);
    if (!x || !y || !x_test || !y_test || kl_layer_adapt(characters, x))
        return fail("the texts");
    int64_t vocabulary = kl_vocabulary_size(characters);
    printf("%lld texts in %d languages, %lld characters\n", (long long)t.count, t.language_count,
           (long long)vocabulary);

    kl_model *model = kl_sequential(.name = "language");
    kl_add(model, kl_input_layer(.shape = {1}, .dtype = "string"));
    kl_add(model, characters);
    kl_add(model, kl_embedding(.input_dim = vocabulary, .output_dim = 24, .mask_zero = true));
    kl_add(model, kl_bidirectional(.layer = kl_lstm(.units = 48)));
    kl_add(model, kl_dropout(.rate = 0.3));
    kl_add(model, kl_dense(.units = t.language_count, .activation = "softmax"));
    kl_summary(model, stdout);
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 5e-3f),
               .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    kl_history *history = kl_fit(model, x, y, .epochs = 12, .batch_size = 32);
    if (!history)
        return fail("training");
    kl_history *result = kl_evaluate(model, x_test, y_test);
    if (!result)
        return fail("evaluation");
    printf("held-out accuracy: %.3f, always the most frequent language: %.3f\n",
           kl_history_last(result, "accuracy"), majority(&t, split));

    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_tensor *all[] = {x, x_test, y, y_test};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    for (int64_t i = 0; i < t.count; i++)
        free(t.lines[i]);
    kl_shutdown();
    return 0;
}
