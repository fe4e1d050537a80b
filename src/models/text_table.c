#include "models/text_table.h"

#include <string.h>

#include "tensor/tensor.h"

/* a / b, halves to even. */
static int rounded(int a, int b)
{
    int whole = a / b, rest = 2 * (a % b);
    return whole + (rest > b || (rest == b && whole % 2));
}

bool kl_table_fit(kl_text_table *t, int length, const double *ends)
{
    int last = 0, excess = -length;
    for (int c = 0; c < t->columns; c++) {
        t->widths[c] = (int)(ends[c] * length) - last;
        if (t->widths[c] < 4)
            return false;
        last += t->widths[c];
        excess += t->widths[c] + 2;
    }
    /* What borders and spaces take goes off the columns evenly. */
    excess += t->columns + 1;
    for (int c = 0; c < t->columns; c++) {
        int part = rounded(excess, t->columns - c);
        excess -= part;
        t->widths[c] -= part;
        if (t->widths[c] < 1)
            return false;
    }
    return true;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static int width_of(const char *text, size_t length)
{
    int width = 0;
    for (size_t i = 0; i < length; i++)
        width += begins_character(text[i]);
    return width;
}

/* The next line of a text: as many words as fit, at least one; *length without the space behind
   it. Returns where the line after it begins. */
static const char *next_line(const char *at, int width, size_t *length)
{
    const char *end = at, *text_end = at;
    while (*end) {
        const char *word = end + strspn(end, " ");
        word += strcspn(word, " ");
        if (end != at && width_of(at, (size_t)(word - at)) > width)
            break;
        text_end = word;
        end = word + strspn(word, " ");
    }
    *length = (size_t)(text_end - at);
    return end;
}

static void spaces(FILE *file, int count)
{
    fprintf(file, "%*s", count, "");
}

static void cell(const kl_text_table *t, int column, const char *text, size_t length)
{
    const int room = t->widths[column];
    int width = width_of(text, length);
    const bool cut = width > room;
    if (cut) {
        length = 0;
        for (int kept = 0; kept < room; length++)
            kept += begins_character(text[length]);
        length--;
        width = room;
    }
    int left = t->alignments[column] == KL_LEFT    ? 0
               : t->alignments[column] == KL_RIGHT ? room - width
                                                   : (room - width) / 2;
    fputc(' ', t->file);
    spaces(t->file, left);
    fwrite(text, 1, length, t->file);
    fputs(cut ? "…" : "", t->file);
    spaces(t->file, room - width - left + 1);
}

static void lines(const kl_text_table *t, const char *bar, const char *const *cells)
{
    const char *at[KL_TABLE_COLUMNS];
    bool more = true;
    memcpy(at, cells, (size_t)t->columns * sizeof *at);
    while (more) {
        more = false;
        fputs(bar, t->file);
        for (int c = 0; c < t->columns; c++) {
            size_t length;
            const char *from = at[c];
            at[c] = next_line(from, t->widths[c], &length);
            cell(t, c, from, length);
            fputs(bar, t->file);
            more = more || *at[c];
        }
        fputc('\n', t->file);
    }
}

/* marks: left end, line, crossing, right end */
static void rule(const kl_text_table *t, const char *const marks[4])
{
    fputs(marks[0], t->file);
    for (int c = 0; c < t->columns; c++) {
        for (int i = 0; i < t->widths[c] + 2; i++)
            fputs(marks[1], t->file);
        fputs(marks[c + 1 < t->columns ? 2 : 3], t->file);
    }
    fputc('\n', t->file);
}

void kl_table_head(kl_text_table *t, const char *const *cells)
{
    rule(t, (const char *const[]){"┏", "━", "┳", "┓"});
    lines(t, "┃", cells);
    rule(t, (const char *const[]){"┡", "━", "╇", "┩"});
}

void kl_table_row(kl_text_table *t, const char *const *cells)
{
    if (t->body)
        rule(t, (const char *const[]){"├", "─", "┼", "┤"});
    lines(t, "│", cells);
    t->body = true;
}

void kl_table_end(kl_text_table *t)
{
    rule(t, (const char *const[]){"└", "─", "┴", "┘"});
}

void kl_append_shape(kl_str *text, const kl_tensor *tensor)
{
    kl_str_append(text, "(");
    for (int i = 0; i < tensor->rank; i++) {
        kl_str_append(text, i ? ", " : "");
        if (tensor->shape[i] < 0)
            kl_str_append(text, "None");
        else
            kl_str_printf(text, "%lld", (long long)tensor->shape[i]);
    }
    kl_str_append(text, ")");
}
