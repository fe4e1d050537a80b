/* Bytes of texts to tokens: every byte mapped by a table, in one pass. */
#ifndef KL_KERNELS_TEXT_H
#define KL_KERNELS_TEXT_H

#include "klayers/tensor.h"

/* An entry of a map: the byte that comes out, and what it is. */
enum { KL_TEXT_DROPS = 0x100, KL_TEXT_SPACE = 0x200 };
typedef uint16_t kl_text_map[256];

/* Where a text is cut into tokens; `to` has room for all of its bytes. */
typedef struct kl_text_cursor {
    const char *at, *end;
    char *to, *token; /* where the next byte goes, and where the token began */
} kl_text_cursor;

/* The text mapped, without what is dropped; spaces stay. Returns the end. */
char *kl_text_translate(const kl_text_map map, const char *text, size_t length, char *to);
/* Up to `capacity` further tokens, which lie behind `to`; how many, 0 at the end. */
size_t kl_text_cut(const kl_text_map map, kl_text_cursor *cursor, kl_string *tokens,
                   size_t capacity);

#endif
