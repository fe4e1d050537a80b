/* Strings in, class out: a model that keeps its vocabulary in its file. */
#include <klayers/klayers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000 };

static const char *const books[] = {"bible", "devil", "jargon"};
enum { BOOKS = sizeof books / sizeof *books };

typedef struct texts {
    char *lines[MOST];
    const char *sentences[MOST];
    int32_t labels[MOST];
    int64_t count;
} texts;

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kl_last_error());
    return 1;
}

/* Lines of a book, a tab and a sentence. */
static int read_texts(const char *path, texts *t)
{
    char line[512];
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    while (t->count < MOST && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = 0;
        for (int32_t k = 0; k < BOOKS; k++)
            if (!strcmp(line, books[k]))
                t->labels[t->count] = k;
        size_t size = strlen(tab + 1) + 1;
        char *copy = malloc(size);
        if (!copy)
            break;
        memcpy(copy, tab + 1, size);
        t->lines[t->count] = copy;
        t->sentences[t->count++] = copy;
    }
    return fclose(file);
}

static double majority(const texts *t, int64_t first)
{
    int counts[BOOKS] = {0}, most = 0;
    for (int64_t i = first; i < t->count; i++)
        counts[t->labels[i]]++;
    for (int i = 0; i < BOOKS; i++)
        most = counts[i] > most ? counts[i] : most;
    return (double)most / (double)(t->count - first);
}

static kl_model *make_model(kl_layer *words)
{
    int64_t vocabulary = kl_vocabulary_size(words);
    kl_model *model = kl_sequential(.name = "book");
    kl_add(model, kl_input_layer(.shape = {1}, .dtype = "string"));
    kl_add(model, words);
    kl_add(model, kl_embedding(.input_dim = vocabulary, .output_dim = 32, .mask_zero = true));
    kl_add(model, kl_global_average_pooling1d());
    kl_add(model, kl_dropout(.rate = 0.3));
    kl_add(model, kl_dense(.units = BOOKS, .activation = "softmax"));
    kl_compile(model, .optimizer = kl_adam(.learning_rate = 5e-3f),
               .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    return model;
}

/* What the model says of sentences that nobody wrote yet. */
static int show(kl_model *model)
{
    const char *const said[] = {
        "The wicked shall be brought low, but the heart of the righteous rejoiceth.",
        "A gentleman whose virtue is exactly equal to his want of opportunity.",
        "A program that crashes whenever the disk is full and nobody has a backup."};
    const int64_t count = sizeof said / sizeof *said;
    kl_tensor *x = kl_from_strings(2, (const int64_t[]){count, 1}, said), *y = kl_predict(model, x);
    for (int64_t i = 0; y && i < count; i++) {
        printf("%s\n   ", said[i]);
        for (int64_t k = 0; k < BOOKS; k++)
            printf(" %s %.2f", books[k], kl_tensor_at(y, i * BOOKS + k));
        printf("\n");
    }
    bool good = y != NULL;
    kl_release(x);
    kl_release(y);
    return good ? 0 : fail("prediction");
}

/* Saves the model, loads it and compares what both say. */
static int check_file(kl_model *model, const char *path, kl_tensor *x)
{
    if (kl_save_model(model, path)) {
        if (kl_last_status() != KL_ERROR_UNSUPPORTED)
            return fail("saving");
        printf("built without .keras files: the model isn't saved\n");
        return show(model);
    }
    kl_model *again = kl_load_model(path);
    kl_tensor *a = kl_predict(model, x), *b = again ? kl_predict(again, x) : NULL;
    if (!a || !b)
        return fail("loading");
    int64_t differ = 0;
    for (int64_t i = 0; i < kl_tensor_size(a); i++)
        differ += kl_tensor_at(a, i) != kl_tensor_at(b, i);
    printf("loaded from %s: %lld of %lld probabilities differ\n", path, (long long)differ,
           (long long)kl_tensor_size(a));
    int failed = show(again) || differ;
    kl_release(a);
    kl_release(b);
    kl_layer_release(again);
    return failed;
}

int main(int argc, char **argv)
{
    static texts t;
    kl_set_random_seed(3);
    if (read_texts(KL_EXAMPLE_DATA "/texts.tsv", &t) || !t.count) {
        perror(KL_EXAMPLE_DATA "/texts.tsv");
        return 1;
    }
    int64_t split = t.count * 3 / 4, rest = t.count - split;
    kl_tensor *x = kl_from_strings(2, (const int64_t[]){split, 1}, t.sentences);
    kl_tensor *x_test = kl_from_strings(2, (const int64_t[]){rest, 1}, t.sentences + split);
    kl_tensor *y = kl_from_data(KL_INT32, 1, &split, t.labels);
    kl_tensor *y_test = kl_from_data(KL_INT32, 1, &rest, t.labels + split);
    kl_layer *words = kl_text_vectorization(.max_tokens = 3000, .output_sequence_length = 50);
    if (!x || !x_test || !y || !y_test || kl_layer_adapt_texts(words, t.sentences, split))
        return fail("the texts");
    printf("%lld sentences, a vocabulary of %lld words\n", (long long)t.count,
           (long long)kl_vocabulary_size(words));
    kl_model *model = make_model(words);
    kl_history *history = kl_fit(model, x, y, .epochs = 15, .batch_size = 32, .verbose = 2);
    kl_history *result = history ? kl_evaluate(model, x_test, y_test) : NULL;
    if (!result)
        return fail("training");
    printf("held-out accuracy: %.3f, always the same book: %.3f\n",
           kl_history_last(result, "accuracy"), majority(&t, split));
    int failed = check_file(model, argc > 1 ? argv[1] : "raw_text_to_class.keras", x_test);
    if (argc < 2)
        remove("raw_text_to_class.keras");

    kl_history_free(history);
    kl_history_free(result);
    kl_layer_release(model);
    kl_tensor *all[] = {x, x_test, y, y_test};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        kl_release(all[i]);
    for (int64_t i = 0; i < t.count; i++)
        free(t.lines[i]);
    kl_shutdown();
    return failed;
}
