/* What the tests of the base part share: cmocka's headers and an allocator that can fail. */
#ifndef KL_TESTS_BASE_TEST_SUPPORT_H
#define KL_TESTS_BASE_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "klayers/base.h"

/* Counts what is held, and fails once `until_failure` allocations have passed (if not negative). */
typedef struct failing_allocator {
    long held, allocations, until_failure;
} failing_allocator;

static inline bool failing_passes(failing_allocator *f)
{
    if (f->until_failure == 0)
        return false;
    if (f->until_failure > 0)
        f->until_failure--;
    f->allocations++;
    return true;
}

static inline void *failing_allocate(size_t size, void *user)
{
    failing_allocator *f = user;
    void *memory = failing_passes(f) ? malloc(size) : NULL;
    f->held += memory != NULL;
    return memory;
}

static inline void *failing_reallocate(void *memory, size_t size, void *user)
{
    return failing_passes(user) ? realloc(memory, size) : NULL;
}

static inline void failing_release(void *memory, void *user)
{
    ((failing_allocator *)user)->held--;
    free(memory);
}

static inline void failing_install(failing_allocator *f)
{
    const kl_allocator allocator = {failing_allocate, failing_reallocate, failing_release, f};
    kl_shutdown();
    *f = (failing_allocator){.until_failure = -1};
    assert_int_equal(kl_set_allocator(&allocator), KL_OK);
}

/* Gives everything back and checks that nothing leaked. */
static inline void failing_remove(failing_allocator *f)
{
    kl_shutdown();
    assert_int_equal(f->held, 0);
    assert_int_equal(kl_set_allocator(NULL), KL_OK);
}

#endif
