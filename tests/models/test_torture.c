/* A model of every kind of layer with each allocation failing in turn, and in every stage of its
   life: an error each time, nothing leaks, and what was there before stays usable. */
#include <stdio.h>
#include <unistd.h>

#include "base/test_support.h"
#include "models/models.h"

typedef struct life {
    sample_model sample;
    char path[64];
} life;

static bool stage_build(life *l)
{
    sample_model s = sample_everything();
    bool good = s.model && s.y && s.x[0] && s.x[1] && s.x[2] &&
                !kl_compile(s.model, .optimizer = kl_adam(.learning_rate = 0.01),
                            .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"});
    if (good)
        l->sample = s;
    else
        sample_release(&s);
    return good;
}

static bool stage_fit(life *l)
{
    sample_model *s = &l->sample;
    kl_history *history = kl_fit(
        s->model, NULL, NULL, .inputs = {s->x[0], s->x[1], s->x[2]}, .targets = {s->y}, .epochs = 1,
        .batch_size = 4, .verbose = 0,
        .callbacks = {kl_callback_early_stopping(.monitor = "loss", .restore_best_weights = true)});
    kl_history_free(history);
    return history;
}

static bool stage_predict(life *l)
{
    kl_tensor *out[1] = {NULL};
    kl_status status = kl_predict_many(l->sample.model, 3, l->sample.x, 4, out);
    if (status)
        assert_null(out[0]);
    kl_release(out[0]);
    return !status;
}

static bool stage_summary(life *l)
{
    FILE *sink = fopen("/dev/null", "w");
    bool good =
        sink && !kl_summary(l->sample.model, sink) && !kl_plot_model(l->sample.model, sink, true);
    fclose(sink);
    return good;
}

static bool stage_config(life *l)
{
    char *config = kl_layer_get_config(l->sample.model);
    kl_layer *again = config ? kl_layer_from_config("Functional", config) : NULL;
    kl_layer_release(again);
    kl_free_text(config);
    return again;
}

static bool stage_save(life *l)
{
    return !kl_save_model(l->sample.model, l->path);
}

static bool stage_load(life *l)
{
    kl_model *again = kl_load_model(l->path);
    kl_layer_release(again);
    return again;
}

static bool stage_save_weights(life *l)
{
    return !kl_save_weights(l->sample.model, l->path);
}

static bool stage_load_weights(life *l)
{
    return !kl_load_weights(l->sample.model, l->path);
}

/* The stage with its n-th allocation failing, for every n up to the first that it never reaches.
   Later ones are sampled unless KL_TORTURE is set. */
static void torture(const char *name, bool (*stage)(life *), life *l, failing_allocator *f)
{
    long n = 0;
    bool all = getenv("KL_TORTURE");
    for (bool good = false; !good; n += 1 + (all ? 0 : n / 256)) {
        kl_clear_error();
        f->until_failure = n;
        good = stage(l);
        bool failed = f->until_failure == 0;
        f->until_failure = -1;
        if (!good && kl_last_status() != KL_ERROR_MEMORY)
            fail_msg("%s with allocation %ld failing: %s", name, n, kl_last_error());
        if (good && failed) {
            /* What failed was something that may be missing, such as a cache. */
            good = false;
            if (stage == stage_build)
                sample_release(&l->sample);
        }
        if (n > 200000)
            fail_msg("%s never comes to an end", name);
    }
}

static void every_allocation_may_fail(void **state)
{
    failing_allocator f;
    failing_install(&f);
    life l = {.path = P_tmpdir "/klayers-torture-XXXXXX"};
    int file = mkstemp(l.path);
    assert_true(file >= 0);
    close(file);
    torture("build", stage_build, &l, &f);
    torture("predict", stage_predict, &l, &f);
    torture("fit", stage_fit, &l, &f);
    torture("summary", stage_summary, &l, &f);
    torture("config", stage_config, &l, &f);
#ifdef KL_HAVE_SAVING
    torture("save", stage_save, &l, &f);
    torture("load", stage_load, &l, &f);
    torture("save weights", stage_save_weights, &l, &f);
    torture("load weights", stage_load_weights, &l, &f);
#endif
    assert_true(stage_fit(&l));
    assert_true(stage_predict(&l));
    sample_release(&l.sample);
    unlink(l.path);
    failing_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
