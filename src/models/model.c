#include "models/model.h"

#include <string.h>

#include "base/error.h"
#include "models/input.h"

/* A program that links the archive and makes no functional model leaves that class out. */
#pragma weak kl_functional_class
#pragma weak kl_functional_executor

bool kl_is_model(const kl_layer *layer)
{
    return layer->vtable == &kl_sequential_class || layer->vtable == &kl_functional_class;
}

const kl_executor *kl_model_executor(const kl_model *model)
{
    if (!model)
        return NULL;
    if (model->vtable == &kl_sequential_class)
        return kl_sequential_executor(model);
    if (model->vtable == &kl_functional_class)
        return kl_functional_executor(model);
    return NULL;
}

int kl_model_layer_count(const kl_model *model)
{
    return kl_layer_sublayer_count(model);
}

kl_layer *kl_model_layer(const kl_model *model, int index)
{
    return kl_layer_sublayer(model, index, NULL);
}

kl_layer *kl_model_get_layer(const kl_model *model, const char *name)
{
    if (!model || !name) {
        kl_error_null("kl_model_get_layer", model ? "name" : "model");
        return NULL;
    }
    for (int i = 0; i < model->sublayer_count; i++)
        if (!strcmp(model->sublayers[i].layer->name, name))
            return model->sublayers[i].layer;
    kl_error(KL_ERROR_NOT_FOUND, "%s: no layer is named '%s'", model->name, name);
    return NULL;
}

kl_tensor *kl_model_input(const kl_model *model, int index)
{
    const kl_executor *ex = kl_model_executor(model);
    return ex && index >= 0 && index < ex->input_count ? ex->inputs[index] : NULL;
}

kl_tensor *kl_model_output(const kl_model *model, int index)
{
    const kl_executor *ex = kl_model_executor(model);
    return ex && index >= 0 && index < ex->output_count ? ex->outputs[index] : NULL;
}

int kl_model_input_count(const kl_model *model)
{
    const kl_executor *ex = kl_model_executor(model);
    return ex ? ex->input_count : 0;
}

int kl_model_output_count(const kl_model *model)
{
    const kl_executor *ex = kl_model_executor(model);
    return ex ? ex->output_count : 0;
}
