/*
 * Gives a target every file of the folders named on the command line: whole, cut short at every
 * length and with every byte changed in turn (at some of them in large files), so that a run
 * without a fuzzer says something too.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { MOST_BYTES = 1 << 16 };

/* A copy of exactly `size` bytes, so that sanitizers see reads past the end. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int try_file(const char *path)
{
    static uint8_t data[MOST_BYTES];
    static const uint8_t changes[] = {0x01, 0x20, 0x80, 0xFF};
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    try_input(data, size);
    size_t step = size > 4096 ? size / 256 : 1;
    for (size_t i = 0; i < size; i += step) {
        try_input(data, i);
        for (size_t k = 0; k < sizeof changes; k++) {
            data[i] ^= changes[k];
            try_input(data, size);
            data[i] ^= changes[k];
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (!folder) {
            fprintf(stderr, "%s: no such folder\n", argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            files += try_file(path);
        }
        closedir(folder);
    }
    printf("%d files\n", files);
    return files ? 0 : 1;
}
