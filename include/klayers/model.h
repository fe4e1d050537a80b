/* Symbolic tensors, Sequential and Functional models, summary and plot. A model is a layer. */
#ifndef KLAYERS_MODEL_H
#define KLAYERS_MODEL_H

#include "klayers/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef kl_layer kl_model;

typedef struct kl_input_args {
    size_t size;
    unsigned mark;
    int64_t shape[KL_MAX_RANK + 1]; /* without the batch; -1 unknown, KL_SCALAR for () */
    int64_t batch_size;             /* 0: unknown */
    const char *dtype;              /* NULL: float32 */
    const char *name;
    bool sparse, ragged; /* sparse keeps its config; ragged is an error */
    bool optional;
    int64_t batch_shape[KL_MAX_RANK + 1]; /* with the batch, instead of shape and batch_size */
} kl_input_args;
/* A symbolic tensor that begins a graph: kl_input(.shape = {20}). Belongs to the graph; release it
   when no model was made of it. */
KL_API kl_tensor *kl_input_new(const kl_input_args *args);
KL_API kl_input_args kl_input_defaults(void);
#ifndef __cplusplus
#define kl_input(...) KL_CALL_(kl_input_new, kl_input_args, (.sparse = false), __VA_ARGS__)
#endif

/* The input layer as an object, for kl_add. */
typedef struct kl_input_layer_args {
    KL_LAYER_ARGS
    int64_t shape[KL_MAX_RANK + 1];
    int64_t batch_size;
    bool sparse, ragged;
    bool optional;
    int64_t batch_shape[KL_MAX_RANK + 1]; /* with the batch, instead of shape and batch_size */
} kl_input_layer_args;
KL_API kl_layer *kl_input_layer_new(const kl_input_layer_args *args);
KL_API kl_input_layer_args kl_input_layer_defaults(void);
#ifndef __cplusplus
#define kl_input_layer(...)                                                                        \
    KL_CALL_(kl_input_layer_new, kl_input_layer_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

typedef struct kl_sequential_args {
    KL_LAYER_ARGS
    kl_layer *layers[64]; /* ended by NULL; or added later */
} kl_sequential_args;
KL_API kl_model *kl_sequential_new(const kl_sequential_args *args);
KL_API kl_sequential_args kl_sequential_defaults(void);
#ifndef __cplusplus
#define kl_sequential(...)                                                                         \
    KL_CALL_(kl_sequential_new, kl_sequential_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif
/* Adds a layer at the end; the reference is taken over. A failure is kept: later calls on the
   model fail with the same message. */
KL_API kl_status kl_add(kl_model *model, kl_layer *layer);
/* Removes the last layer. */
KL_API kl_status kl_pop(kl_model *model);

typedef struct kl_functional_args {
    KL_LAYER_ARGS
    kl_tensor *inputs[KL_MAX_LIST], *outputs[KL_MAX_LIST]; /* symbolic, ended by NULL */
    kl_tensors inputs_list, outputs_list;                  /* or these */
} kl_functional_args;
KL_API kl_model *kl_functional_new(const kl_functional_args *args);
KL_API kl_functional_args kl_functional_defaults(void);
#ifndef __cplusplus
#define kl_functional(...)                                                                         \
    KL_CALL_(kl_functional_new, kl_functional_args, (KL_LAYER_DEFAULTS), __VA_ARGS__)
#endif

/* The layers of a model in order (input layers of a Sequential are left out, as in Keras). */
KL_API int kl_model_layer_count(const kl_model *model);
KL_API kl_layer *kl_model_layer(const kl_model *model, int index);
KL_API kl_layer *kl_model_get_layer(const kl_model *model, const char *name);
/* Symbolic inputs and outputs, lent; NULL beyond the end or before the model is built. */
KL_API kl_tensor *kl_model_input(const kl_model *model, int index);
KL_API kl_tensor *kl_model_output(const kl_model *model, int index);
KL_API int kl_model_input_count(const kl_model *model);
KL_API int kl_model_output_count(const kl_model *model);

/*
 * Keras's table: layer (type), output shape, parameters, connections, totals: kl_summary(model,
 * stdout, .expand_nested = true).
 */
typedef struct kl_summary_args {
    size_t size;
    unsigned mark;
    int line_length;     /* 0: 76, Keras's where the output is no terminal */
    bool expand_nested;  /* also the layers of models within the model */
    bool show_trainable; /* a column with Y, N, or - where there are no weights */
    char pos_;
    kl_model *model;
    FILE *file;
} kl_summary_args;
KL_API kl_status kl_summary_with(const kl_summary_args *args);
KL_API kl_summary_args kl_summary_defaults(void);
#ifndef __cplusplus
#define kl_summary(...) KL_CALL_(kl_summary_with, kl_summary_args, (.pos_ = 0), __VA_ARGS__)
#endif
/* The graph in Graphviz's language (plot_model). */
KL_API kl_status kl_plot_model(kl_model *model, FILE *file, bool show_shapes);

/*
 * Predicts in batches and joins the outputs: kl_predict(model, x, .batch_size = 64). One input and
 * output; kl_predict_many for several. Outputs belong to the caller.
 */
typedef struct kl_predict_args {
    size_t size;
    unsigned mark;
    int64_t batch_size; /* 32 */
    int verbose;
    int64_t steps; /* 0: all */
    char pos_;
    kl_model *model;
    kl_tensor *x;
} kl_predict_args;
KL_API kl_tensor *kl_predict_with(const kl_predict_args *args);
#ifndef __cplusplus
#define kl_predict(...)                                                                            \
    KL_CALL_(kl_predict_with, kl_predict_args, (.batch_size = 32, .pos_ = 0), __VA_ARGS__)
#endif
/* outputs has kl_model_output_count entries. */
KL_API kl_status kl_predict_many(kl_model *model, int count, kl_tensor *const *x,
                                 int64_t batch_size, kl_tensor **outputs);
/* One batch as it is. */
KL_API kl_tensor *kl_predict_on_batch(kl_model *model, kl_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
