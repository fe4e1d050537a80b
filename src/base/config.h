/* The inside of a config tree. */
#ifndef KL_BASE_CONFIG_H
#define KL_BASE_CONFIG_H

#include "klayers/config.h"

enum { KL_CONFIG_MAX_DEPTH = 1000 };

typedef struct kl_config_entry {
    char *key; /* NULL in a list */
    kl_config *value;
    uint32_t hash; /* of the key */
} kl_config_entry;

struct kl_config {
    kl_config_type type;
    bool is_int; /* a number that was written without point and exponent */
    bool inside; /* a list or map owns this value */
    union {
        bool boolean;
        int64_t integer;
        double number;
        char *string;
        struct {
            kl_config_entry *at;
            size_t count, capacity;
            /* Large maps: an open-addressing table of entry numbers plus one; 0 is empty. */
            uint32_t *table;
            size_t table_size;
        } entries;
    } as;
};

/* Takes text over, which must be UTF-8. */
kl_config *kl_config_take_string(char *text);
/* As kl_config_set, but takes the key over too. */
kl_status kl_config_set_taking(kl_config *map, char *key, kl_config *value);

/* Bytes of the UTF-8 character at `text`, of which `length` bytes may be read; 0 if it is not
   well-formed. */
size_t kl_utf8_length(const char *text, size_t length);

/* Puts this thread into the C locale, so that numbers have points; and back. */
void *kl_locale_enter(void);
void kl_locale_leave(void *before);

#endif
