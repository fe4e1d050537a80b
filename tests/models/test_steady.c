/* Once the first batches are through, no model's training step and no prediction asks for memory.
 */
#include "base/test_support.h"
#include "models/models.h"

static void check(const char *name, sample_model (*make)(int64_t))
{
    failing_allocator f;
    failing_install(&f);
    sample_model s = make(24);
    assert_non_null(s.model);
    assert_int_equal(kl_compile(s.model, .optimizer = "adam",
                                .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}),
                     KL_OK);
    for (int i = 0; i < 5; i++)
        assert_true(kl_train_on_batch(s.model, s.x[0], s.y) > 0);
    long before = f.allocations;
    for (int i = 0; i < 5; i++)
        assert_true(kl_train_on_batch(s.model, s.x[0], s.y) > 0);
    if (f.allocations != before)
        fail_msg("%s: %ld allocations in 5 training steps", name, f.allocations - before);
    for (int i = 0; i < 5; i++)
        kl_release(kl_predict(s.model, s.x[0], .batch_size = 10));
    before = f.allocations;
    for (int i = 0; i < 5; i++)
        kl_release(kl_predict(s.model, s.x[0], .batch_size = 10));
    if (f.allocations != before)
        fail_msg("%s: %ld allocations in 5 predictions", name, f.allocations - before);
    sample_release(&s);
    failing_remove(&f);
}

#define CHECK(name)                                                                                \
    static void name(void **state)                                                                 \
    {                                                                                              \
        check(#name, sample_##name);                                                               \
    }
CHECK(mlp)
CHECK(cnn)
CHECK(lstm)
CHECK(residual)
CHECK(encoder)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlp), cmocka_unit_test(cnn),
                                       cmocka_unit_test(lstm), cmocka_unit_test(residual),
                                       cmocka_unit_test(encoder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
