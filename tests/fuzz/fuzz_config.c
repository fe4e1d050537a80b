/* JSON of any bytes: parsing fails or gives a tree that prints to text of the same tree. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "klayers/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned errors = kl_error_count();
    kl_config *tree = kl_config_parse((const char *)data, size);
    if (!tree) {
        if (kl_error_count() == errors)
            abort();
        return 0;
    }
    char *text = kl_config_print(tree, false);
    kl_config *again = text ? kl_config_parse(text, strlen(text)) : NULL;
    char *same = again ? kl_config_print(again, false) : NULL;
    if (!same || strcmp(text, same) != 0)
        abort();
    kl_config_free_text(same);
    kl_config_free_text(text);
    kl_config_free(again);
    kl_config_free(tree);
    return 0;
}
