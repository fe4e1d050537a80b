/* The smallest program that needs the library: it answers with its version. */
#include <klayers/base.h>
#include <klayers/config.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    static const char json[] = "{\"units\": 4}";
    kl_config *config = kl_config_parse(json, strlen(json));
    int64_t units = 0;
    if (!kl_config_as_int(kl_config_get(config, "units"), &units) || units != 4) {
        fprintf(stderr, "%s\n", kl_last_error());
        return 1;
    }
    kl_config_free(config);
    kl_shutdown();
    printf("klayers %s\n", kl_version());
    return 0;
}
