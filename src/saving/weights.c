/* Weights as an HDF5 image in memory, in the layout of Keras 3's .weights.h5. */
#include <hdf5.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "klayers/training.h"
#include "layers/layer.h"
#include "saving/saving.h"
#include "tensor/tensor.h"

/* Debian's HDF5 is not safe from several threads. */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static kl_status failed(const char *path, const char *what)
{
    return kl_error(KL_ERROR_FORMAT, "%s: %s", path, what);
}

static bool native_type(kl_dtype dtype, hid_t *type)
{
    switch (dtype) {
    case KL_FLOAT32:
        *type = H5T_NATIVE_FLOAT;
        return true;
    case KL_FLOAT64:
        *type = H5T_NATIVE_DOUBLE;
        return true;
    case KL_INT32:
        *type = H5T_NATIVE_INT32;
        return true;
    case KL_INT64:
        *type = H5T_NATIVE_INT64;
        return true;
    case KL_UINT8:
    case KL_BOOL:
        *type = H5T_NATIVE_UINT8;
        return true;
    default:
        return false;
    }
}

/* Half precision goes through float32. */
static kl_dtype stored_dtype(const kl_tensor *tensor)
{
    bool half = tensor->dtype == KL_FLOAT16 || tensor->dtype == KL_BFLOAT16;
    return half ? KL_FLOAT32 : (kl_dtype)tensor->dtype;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static hid_t open_group(hid_t file, const char *path)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t group = H5Lexists(file, path, H5P_DEFAULT) > 0
                      ? H5Gopen2(file, path, H5P_DEFAULT)
                      : H5Gcreate2(file, path, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Pclose(links);
    return group;
}

/* H5Lexists asks for every step of a path: make the groups one by one. */
static hid_t make_groups(hid_t file, const char *path)
{
    char part[600];
    hid_t group = -1;
    for (size_t i = 0;; i++) {
        if (path[i] && path[i] != '/')
            continue;
        if (i >= sizeof part)
            return -1;
        if (group >= 0)
            H5Gclose(group);
        memcpy(part, path, i);
        part[i] = 0;
        group = open_group(file, part);
        if (!path[i] || group < 0)
            return group;
    }
}

static void write_name(hid_t group, const char *name)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t attribute = H5Acreate2(group, "name", type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        H5Awrite(attribute, type, &name);
        H5Aclose(attribute);
    }
    H5Sclose(space);
    H5Tclose(type);
}

static kl_status write_value(hid_t group, const char *name, const kl_tensor *value)
{
    hsize_t dims[KL_MAX_RANK];
    hid_t type;
    kl_tensor *plain = kl_copy(value, stored_dtype(value));
    if (!plain || !native_type((kl_dtype)plain->dtype, &type)) {
        kl_release(kl_scope_detach(plain));
        return plain ? kl_error(KL_ERROR_DTYPE, "a weight's dtype can't be saved")
                     : kl_last_status();
    }
    for (int i = 0; i < plain->rank; i++)
        dims[i] = (hsize_t)plain->shape[i];
    hid_t space = plain->rank ? H5Screate_simple(plain->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t set = H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool good = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, plain->data) >= 0;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    kl_release(kl_scope_detach(plain));
    return good ? KL_OK : kl_error(KL_ERROR_IO, "HDF5 can't write a weight");
}

static kl_status write_indexed(hid_t group, int index, const kl_tensor *value)
{
    char name[32];
    snprintf(name, sizeof name, "%d", index);
    return write_value(group, name, value);
}

/* Whether a weight has a place of its own in files. */
static bool is_saved(const kl_weight *weight)
{
    return weight->role != KL_WEIGHT_SEED && !weight->merged;
}

/* With its low-rank correction, if it has one, as Keras saves it. */
static kl_status write_weight(hid_t group, int index, const kl_weight *weight)
{
    if (!weight->low_a)
        return write_indexed(group, index, weight->value);
    kl_scope *scope = kl_scope_begin();
    if (!scope)
        return KL_ERROR_MEMORY;
    kl_tensor *change = kl_op_mul_scalar(kl_op_matmul(weight->low_a->value, weight->low_b->value),
                                         weight->low_factor);
    kl_tensor *whole = kl_op_add(weight->value, change);
    kl_status status = whole ? write_indexed(group, index, whole) : kl_last_status();
    kl_scope_end_keeping(scope, 0, NULL);
    return status;
}

/* A layer's own values, below its path. */
typedef struct own_values {
    hid_t file;
    const char *path;
} own_values;

static char *own_path(const own_values *own, const char *name)
{
    kl_str text = {0};
    kl_str_printf(&text, "%s%s%s", own->path, *own->path ? "/" : "", name);
    return kl_str_take(&text);
}

static kl_status write_own(void *user, const char *name, const kl_tensor *value)
{
    char *where = own_path(user, name), *last = where ? strrchr(where, '/') : NULL;
    hid_t group = -1;
    if (last) {
        *last = 0;
        group = make_groups(((const own_values *)user)->file, where);
    }
    kl_status status = group >= 0 ? write_value(group, last + 1, value)
                                  : kl_error(KL_ERROR_IO, "HDF5 can't make a group");
    if (group >= 0)
        H5Gclose(group);
    kl_free(where);
    return status;
}

static kl_status write_layer(kl_layer *layer, const char *path, void *user)
{
    hid_t file = *(hid_t *)user;
    kl_str text = {0};
    kl_str_printf(&text, "%s%svars", path, *path ? "/" : "");
    char *where = kl_str_take(&text);
    if (!where)
        return KL_ERROR_MEMORY;
    hid_t group = make_groups(file, where);
    kl_free(where);
    if (group < 0)
        return kl_error(KL_ERROR_IO, "HDF5 can't make the group of %s", layer->name);
    write_name(group, layer->name);
    kl_status status = KL_OK;
    for (int i = 0, n = 0; i < layer->weight_count && !status; i++)
        if (is_saved(layer->weights[i]))
            status = write_weight(group, n++, layer->weights[i]);
    H5Gclose(group);
    if (!status && layer->vtable->save_values)
        status = layer->vtable->save_values(layer, write_own, &(own_values){file, path});
    return status;
}

static kl_status write_optimizer(hid_t file, const kl_optimizer *optimizer)
{
    int count = kl_optimizer_variable_count(optimizer);
    hid_t group = count ? make_groups(file, "optimizer/vars") : -1;
    kl_status status = KL_OK;
    for (int i = 0; i < count && group >= 0 && !status; i++)
        status = write_indexed(group, i, kl_optimizer_variable(optimizer, i, NULL));
    if (group >= 0)
        H5Gclose(group);
    return status;
}

static kl_status take_image(hid_t file, kl_bytes *out)
{
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    ssize_t size = H5Fget_file_image(file, NULL, 0);
    if (size <= 0)
        return kl_error(KL_ERROR_IO, "HDF5 gives no image of the weights");
    out->at = kl_malloc((size_t)size);
    out->size = (size_t)size;
    if (!out->at)
        return KL_ERROR_MEMORY;
    return H5Fget_file_image(file, out->at, out->size) == size
               ? KL_OK
               : kl_error(KL_ERROR_IO, "HDF5 gives no image of the weights");
}

static kl_status write_image(kl_model *model, bool alone, kl_bytes *out)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, 0);
    hid_t file = H5Fcreate("klayers-weights", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (file < 0)
        return kl_error(KL_ERROR_IO, "HDF5 can't begin an image of the weights");
    kl_status status = kl_layer_walk(model, "", write_layer, &file);
    const kl_optimizer *optimizer = alone ? NULL : kl_model_optimizer(model);
    if (!status && optimizer)
        status = write_optimizer(file, optimizer);
    if (!status)
        status = take_image(file, out);
    H5Fclose(file);
    return status;
}

/* HDF5 prints its errors unless told not to. */
typedef struct quiet {
    H5E_auto2_t function;
    void *data;
} quiet;

static quiet begin_quiet(void)
{
    quiet before;
    pthread_mutex_lock(&guard);
    H5Eget_auto2(H5E_DEFAULT, &before.function, &before.data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return before;
}

static void end_quiet(quiet before)
{
    H5Eset_auto2(H5E_DEFAULT, before.function, before.data);
    pthread_mutex_unlock(&guard);
}

kl_status kl_weights_write(kl_model *model, bool alone, kl_bytes *out)
{
    *out = (kl_bytes){0};
    quiet before = begin_quiet();
    kl_status status = write_image(model, alone, out);
    end_quiet(before);
    if (status) {
        kl_free(out->at);
        *out = (kl_bytes){0};
    }
    return status;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* Only what is in the file itself: links to other files and devices are never followed. */
static bool is_plain_link(hid_t file, const char *path)
{
    H5L_info_t about;
    return H5Lexists(file, path, H5P_DEFAULT) > 0 &&
           H5Lget_info(file, path, &about, H5P_DEFAULT) >= 0 && about.type == H5L_TYPE_HARD;
}

static bool path_exists(hid_t file, const char *path)
{
    char part[600];
    for (size_t i = 0;; i++) {
        if (path[i] && path[i] != '/')
            continue;
        if (i >= sizeof part)
            return false;
        memcpy(part, path, i);
        part[i] = 0;
        if (i && !is_plain_link(file, part))
            return false;
        if (!path[i])
            return true;
    }
}

/* Whether a dataset's elements lie in the file and HDF5 needs no more memory for a piece of them
   than for the whole. */
static bool is_stored_plainly(hid_t set, hid_t type, const kl_tensor *like)
{
    hid_t made = H5Dget_create_plist(set);
    if (made < 0)
        return false;
    H5D_layout_t layout = H5Pget_layout(made);
    bool good = layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED;
    good = good && H5Pget_external_count(made) <= 0 && H5Tget_size(type) <= 16;
    if (good && layout == H5D_CHUNKED) {
        hsize_t piece[KL_MAX_RANK], size = 1;
        int rank = H5Pget_chunk(made, KL_MAX_RANK, piece);
        good = rank == like->rank;
        for (int i = 0; good && i < rank; i++)
            good = !__builtin_mul_overflow(size, piece[i], &size);
        good = good && size <= 4 * (hsize_t)like->size + 65536;
    }
    H5Pclose(made);
    return good;
}

/* A dataset's values where its shape is the one expected: checked before anything is allocated. */
static kl_status read_value(hid_t file, const char *path, const kl_tensor *like, kl_tensor **out)
{
    hsize_t dims[KL_MAX_RANK] = {0};
    hid_t type;
    *out = NULL;
    if (!path_exists(file, path))
        return failed(path, "the file has no such weight");
    hid_t set = H5Dopen2(file, path, H5P_DEFAULT);
    if (set < 0)
        return failed(path, "it is no dataset");
    hid_t space = H5Dget_space(set), stored = H5Dget_type(set);
    int rank = H5Sget_simple_extent_ndims(space);
    bool fits = rank == like->rank && rank <= KL_MAX_RANK &&
                H5Sget_simple_extent_dims(space, dims, NULL) >= 0;
    for (int i = 0; fits && i < rank; i++)
        fits = dims[i] == (hsize_t)like->shape[i];
    H5T_class_t kind = H5Tget_class(stored);
    kl_status status = KL_OK;
    if (!fits) {
        char want[160];
        status = kl_error(KL_ERROR_SHAPE, "%s: its shape isn't the layer's %s", path,
                          kl_shape_text(like->rank, like->shape, want, sizeof want));
    } else if (kind != H5T_FLOAT && kind != H5T_INTEGER && kind != H5T_ENUM) {
        status = failed(path, "its elements are no numbers");
    } else if (!is_stored_plainly(set, stored, like)) {
        status = failed(path, "its elements don't lie in the file as weights do");
    } else if (!native_type(stored_dtype(like), &type)) {
        status = failed(path, "its dtype can't be read");
    } else {
        *out = kl_empty(stored_dtype(like), like->rank, like->shape);
        if (!*out)
            status = kl_last_status();
        else if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, (*out)->data) < 0)
            status = failed(path, "it can't be read");
    }
    H5Tclose(stored);
    H5Sclose(space);
    H5Dclose(set);
    if (status) {
        kl_release(kl_scope_detach(*out));
        *out = NULL;
    }
    return status;
}

/* Of a vector whatever its length; none without an error. */
static kl_status read_own(void *user, const char *name, kl_tensor **value)
{
    const own_values *own = user;
    char *where = own_path(own, name);
    *value = NULL;
    hsize_t size = 0;
    hid_t set =
        where && path_exists(own->file, where) ? H5Dopen2(own->file, where, H5P_DEFAULT) : -1;
    if (set >= 0) {
        hid_t space = H5Dget_space(set);
        if (H5Sget_simple_extent_ndims(space) != 1 ||
            H5Sget_simple_extent_dims(space, &size, NULL) < 0 || H5Dget_storage_size(set) < size)
            size = 0;
        H5Sclose(space);
        H5Dclose(set);
    }
    kl_status status = where ? KL_OK : KL_ERROR_MEMORY;
    if (size) {
        kl_tensor like = {.dtype = KL_FLOAT32, .rank = 1, .shape = {(int64_t)size}};
        status = read_value(own->file, where, &like, value);
    }
    kl_free(where);
    return status;
}

/* All values are read before any weight changes. */
typedef struct reading {
    hid_t file;
    kl_weight **weights;
    kl_tensor **values;
    int count, capacity;
} reading;

static kl_status keep_value(reading *r, kl_weight *weight, kl_tensor *value)
{
    if (r->count == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 64;
        kl_weight **weights = kl_realloc_array(r->weights, (size_t)capacity, sizeof *weights);
        if (weights)
            r->weights = weights;
        kl_tensor **values = kl_realloc_array(r->values, (size_t)capacity, sizeof *values);
        if (values)
            r->values = values;
        if (!weights || !values) {
            kl_release(kl_scope_detach(value));
            return KL_ERROR_MEMORY;
        }
        r->capacity = capacity;
    }
    r->weights[r->count] = weight;
    r->values[r->count++] = kl_hold(value);
    kl_release(kl_scope_detach(value));
    return KL_OK;
}

static kl_status read_layer(kl_layer *layer, const char *path, void *user)
{
    reading *r = user;
    kl_status status = KL_OK;
    for (int i = 0, n = 0; i < layer->weight_count && !status; i++) {
        if (!is_saved(layer->weights[i]))
            continue;
        kl_str text = {0};
        kl_str_printf(&text, "%s%svars/%d", path, *path ? "/" : "", n++);
        char *where = kl_str_take(&text);
        kl_tensor *value = NULL;
        status =
            where ? read_value(r->file, where, layer->weights[i]->value, &value) : KL_ERROR_MEMORY;
        kl_free(where);
        if (!status)
            status = keep_value(r, layer->weights[i], value);
        /* The correction is in the value; its other half stays, so that it can be trained on. */
        kl_weight *low = layer->weights[i]->low_b;
        kl_tensor *zeros = status || !low ? NULL
                                          : kl_zeros((kl_dtype)low->value->dtype, low->value->rank,
                                                     low->value->shape);
        if (zeros)
            status = keep_value(r, low, zeros);
        else if (!status && low)
            status = kl_last_status();
    }
    return status;
}

static kl_status read_layer_values(kl_layer *layer, const char *path, void *user)
{
    own_values own = {((const reading *)user)->file, path};
    return layer->vtable->load_values ? layer->vtable->load_values(layer, read_own, &own) : KL_OK;
}

/* The optimizer's state is taken where it fits, and left out otherwise, as Keras does. */
static void read_optimizer(hid_t file, kl_model *model)
{
    kl_optimizer *optimizer = kl_model_optimizer(model);
    int weights = kl_layer_trainable_weight_count(model), count = 0;
    if (!optimizer || !path_exists(file, "optimizer/vars"))
        return;
    kl_saved_error saved;
    kl_error_save(&saved);
    kl_weight **list = kl_malloc_array((size_t)weights + 1, sizeof *list);
    if (list) {
        kl_layer_list_weights(model, true, list, weights);
        if (!kl_optimizer_build(optimizer, weights, list))
            count = kl_optimizer_variable_count(optimizer);
    }
    kl_tensor **values = kl_calloc((size_t)count + 1, sizeof *values);
    bool good = values && count;
    for (int i = 0; i < count && good; i++) {
        char path[64];
        snprintf(path, sizeof path, "optimizer/vars/%d", i);
        good = !read_value(file, path, kl_optimizer_variable(optimizer, i, NULL), &values[i]);
    }
    if (good)
        kl_optimizer_set_variables(optimizer, count, values);
    for (int i = 0; values && i < count; i++)
        kl_release(kl_scope_detach(values[i]));
    kl_free(values);
    kl_free(list);
    kl_error_restore(&saved);
}

static kl_status read_image(kl_model *model, kl_bytes image)
{
    reading r = {0};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, 0);
    bool good = H5Pset_file_image(access, image.at, image.size) >= 0;
    r.file = good ? H5Fopen("klayers-weights", H5F_ACC_RDONLY, access) : -1;
    H5Pclose(access);
    if (r.file < 0)
        return kl_error(KL_ERROR_FORMAT, "the weights are no well-formed HDF5 file");
    kl_status status = kl_layer_walk(model, "", read_layer, &r);
    for (int i = 0; i < r.count; i++) {
        if (!status)
            status = kl_tensor_assign(r.weights[i]->value, r.values[i]);
        kl_unhold(r.values[i]);
    }
    if (!status)
        status = kl_layer_walk(model, "", read_layer_values, &r);
    if (!status)
        read_optimizer(r.file, model);
    kl_free(r.weights);
    kl_free(r.values);
    H5Fclose(r.file);
    return status;
}

kl_status kl_weights_read(kl_model *model, kl_bytes image)
{
    quiet before = begin_quiet();
    kl_status status = read_image(model, image);
    end_quiet(before);
    return status;
}

kl_status kl_save_weights(kl_model *model, const char *path)
{
    if (!model || !path)
        return kl_error_null("kl_save_weights", model ? "path" : "model");
    kl_status status = kl_layer_check(model);
    kl_bytes image = {0};
    if (!status)
        status = kl_weights_write(model, true, &image);
    if (!status)
        status = kl_bytes_write(path, image);
    kl_free(image.at);
    return status;
}

kl_status kl_load_weights(kl_model *model, const char *path)
{
    if (!model || !path)
        return kl_error_null("kl_load_weights", model ? "path" : "model");
    kl_bytes image;
    kl_status status = kl_bytes_read(path, &image);
    if (!status) {
        status = kl_weights_read(model, image);
        if (status)
            kl_error_prefix(path);
    }
    kl_free(image.at);
    return status;
}
