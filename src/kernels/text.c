#include "kernels/text.h"

char *kl_text_translate(const kl_text_map map, const char *text, size_t length, char *to)
{
    for (size_t i = 0; i < length; i++) {
        unsigned entry = map[(unsigned char)text[i]];
        *to = (char)entry;
        to += !(entry & KL_TEXT_DROPS);
    }
    return to;
}

size_t kl_text_cut(const kl_text_map map, kl_text_cursor *cursor, kl_string *tokens,
                   size_t capacity)
{
    const unsigned char *at = (const unsigned char *)cursor->at;
    const unsigned char *end = (const unsigned char *)cursor->end;
    char *to = cursor->to, *token = cursor->token;
    size_t count = 0;
    while (at < end && count < capacity) {
        unsigned entry = map[*at++];
        *to = (char)entry;
        if (entry & KL_TEXT_SPACE) {
            tokens[count] = (kl_string){token, (size_t)(to - token)};
            count += to != token;
            token = to;
        } else {
            to += !(entry & KL_TEXT_DROPS);
        }
    }
    if (at == end && count < capacity && to != token) {
        tokens[count++] = (kl_string){token, (size_t)(to - token)};
        token = to;
    }
    cursor->at = (const char *)at;
    cursor->to = to;
    cursor->token = token;
    return count;
}
