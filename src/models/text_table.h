/* A table drawn in text, as Keras's summaries are. */
#ifndef KL_MODELS_TEXT_TABLE_H
#define KL_MODELS_TEXT_TABLE_H

#include <stdio.h>

#include "base/str.h"
#include "klayers/tensor.h"

enum { KL_TABLE_COLUMNS = 5 };

typedef enum kl_alignment { KL_LEFT, KL_CENTER, KL_RIGHT } kl_alignment;

typedef struct kl_text_table {
    FILE *file;
    int columns, widths[KL_TABLE_COLUMNS]; /* of the texts */
    kl_alignment alignments[KL_TABLE_COLUMNS];
    bool body; /* a row stands below the head */
} kl_text_table;

/* Widths that fill lines of `length`, columns ending at these parts of it; false if one has no
   room. */
bool kl_table_fit(kl_text_table *table, int length, const double *ends);
/* The head, then rows, then the end; texts are wrapped between words, long words cut. */
void kl_table_head(kl_text_table *table, const char *const *cells);
void kl_table_row(kl_text_table *table, const char *const *cells);
void kl_table_end(kl_text_table *table);

/* "(None, 10)" */
void kl_append_shape(kl_str *text, const kl_tensor *tensor);

#endif
