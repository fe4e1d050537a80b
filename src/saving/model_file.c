/* The .keras archive: metadata.json, config.json, model.weights.h5 and assets. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zip.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/str.h"
#include "klayers/training.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "saving/saving.h"

/* What Keras release the files' form is of. */
#define KERAS_VERSION "3.15.1"
/* What an entry may unpack to: so many times its packed bytes, and some more. */
#define MOST_RATIO 64
#define ANY_SIZE   ((uint64_t)8 << 20)
/* The weights that a config may ask for, beyond what the file's bytes account for. */
#define ANY_WEIGHTS ((int64_t)64 << 20)

static kl_status add_entry(zip_t *archive, const char *name, const void *data, size_t size)
{
    void *copy = size ? malloc(size) : malloc(1);
    if (!copy)
        return kl_error_memory();
    if (size)
        memcpy(copy, data, size);
    zip_source_t *source = zip_source_buffer(archive, copy, size, 1);
    if (!source)
        free(copy);
    /* The source owns the copy. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    if (!source || zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) < 0) {
        zip_source_free(source);
        return kl_error(KL_ERROR_IO, "the archive can't take %s", name);
    }
    zip_set_file_compression(archive, (zip_uint64_t)zip_get_num_entries(archive, 0) - 1,
                             ZIP_CM_STORE, 0);
    return KL_OK;
}

static kl_status add_metadata(zip_t *archive)
{
    char text[200], date[64];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%Y-%m-%d@%H:%M:%S", &parts);
    int length = snprintf(text, sizeof text, "{\"keras_version\": \"%s\", \"date_saved\": \"%s\"}",
                          KERAS_VERSION, date);
    return add_entry(archive, "metadata.json", text, (size_t)length);
}

static kl_status add_config(zip_t *archive, kl_model *model)
{
    kl_config *config = kl_object_serialize(model);
    kl_config *compiled = config ? kl_model_compile_config(model) : NULL;
    kl_status status = compiled ? KL_OK : kl_last_status();
    if (!status && kl_config_typeof(compiled) == KL_CONFIG_MAP) {
        status = kl_config_set(config, "compile_config", compiled);
        compiled = NULL;
    }
    char *text = status ? NULL : kl_config_print(config, false);
    if (!status)
        status = text ? add_entry(archive, "config.json", text, strlen(text)) : kl_last_status();
    kl_config_free(compiled);
    kl_config_free(config);
    kl_config_free_text(text);
    return status;
}

/* The assets of one layer, below "assets/" and its path. */
typedef struct assets {
    zip_t *archive;
    const char *path;
} assets;

static kl_status write_asset(void *user, const char *name, const void *data, size_t size)
{
    const assets *a = user;
    kl_str text = {0};
    kl_str_printf(&text, "assets/%s/%s", a->path, name);
    char *entry = kl_str_take(&text);
    kl_status status = entry ? add_entry(a->archive, entry, data, size) : KL_ERROR_MEMORY;
    kl_free(entry);
    return status;
}

static kl_status add_assets(kl_layer *layer, const char *path, void *user)
{
    assets a = {user, path};
    return layer->vtable->save_assets ? layer->vtable->save_assets(layer, write_asset, &a) : KL_OK;
}

static kl_status fill_archive(zip_t *archive, kl_model *model)
{
    kl_bytes image = {0};
    kl_status status = add_metadata(archive);
    if (!status)
        status = add_config(archive, model);
    if (!status)
        status = kl_weights_write(model, false, &image);
    if (!status)
        status = add_entry(archive, "model.weights.h5", image.at, image.size);
    if (!status)
        status = kl_layer_walk(model, "", add_assets, archive);
    kl_free(image.at);
    return status;
}

/* libzip writes beside the target and renames. */
kl_status kl_save_model(kl_model *model, const char *path)
{
    if (!model || !path)
        return kl_error_null("kl_save_model", model ? "path" : "model");
    kl_status status = kl_layer_check(model);
    if (status)
        return status;
    int code = 0;
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!archive)
        return kl_error(KL_ERROR_IO, "%s: the archive can't be made", path);
    status = fill_archive(archive, model);
    if (status)
        zip_discard(archive);
    else if (zip_close(archive)) {
        status = kl_error(KL_ERROR_IO, "%s: %s", path, zip_strerror(archive));
        zip_discard(archive);
    }
    return status;
}

/* ---- Loading -------------------------------------------------------------------------------- */

/* An archive, and its bytes on disk: no entry can have packed more. */
typedef struct opened {
    zip_t *zip;
    uint64_t size;
} opened;

/* An entry whole, one byte longer and NUL-terminated; a missing one gives NULL without an error. */
static kl_status read_entry(const opened *from, const char *name, kl_bytes *out)
{
    zip_t *archive = from->zip;
    zip_stat_t about;
    *out = (kl_bytes){0};
    if (zip_stat(archive, name, 0, &about))
        return KL_OK;
    if (!(about.valid & ZIP_STAT_SIZE) || !(about.valid & ZIP_STAT_COMP_SIZE) ||
        about.comp_size > from->size || about.size > SIZE_MAX / 2 ||
        about.size > MOST_RATIO * about.comp_size + ANY_SIZE)
        return kl_error(KL_ERROR_FORMAT, "%s declares more bytes than its archive can hold", name);
    zip_file_t *file = zip_fopen(archive, name, 0);
    if (!file)
        return kl_error(KL_ERROR_FORMAT, "%s can't be read from its archive", name);
    char *data = kl_malloc((size_t)about.size + 1);
    kl_status status = data ? KL_OK : KL_ERROR_MEMORY;
    if (!status && zip_fread(file, data, about.size) != (zip_int64_t)about.size)
        status = kl_error(KL_ERROR_FORMAT, "%s ends too early", name);
    /* The checksum is compared at the end, which is only met by reading on. */
    char beyond;
    if (!status && zip_fread(file, &beyond, 1) != 0)
        status = kl_error(KL_ERROR_FORMAT, "%s is damaged: its checksum differs", name);
    zip_fclose(file);
    if (status) {
        kl_free(data);
        return status;
    }
    data[about.size] = 0;
    *out = (kl_bytes){data, (size_t)about.size};
    return KL_OK;
}

static kl_model *model_from_config(kl_bytes text)
{
    kl_config *config = kl_config_parse(text.at, text.size);
    kl_model *model = config ? kl_object_deserialize(KL_KIND_LAYER, config) : NULL;
    const kl_config *compiled = config ? kl_config_get(config, "compile_config") : NULL;
    if (model && compiled && kl_config_typeof(compiled) == KL_CONFIG_MAP &&
        kl_model_compile_from_config(model, compiled)) {
        kl_layer_release(model);
        model = NULL;
    }
    kl_config_free(config);
    return model;
}

typedef struct asset_reading {
    const opened *archive;
    const char *path;
    kl_bytes last; /* lent to the layer until the next */
} asset_reading;

static kl_status read_asset(void *user, const char *name, const void **data, size_t *size)
{
    asset_reading *a = user;
    kl_str text = {0};
    kl_str_printf(&text, "assets/%s/%s", a->path, name);
    char *entry = kl_str_take(&text);
    kl_free(a->last.at);
    a->last = (kl_bytes){0};
    kl_status status = entry ? read_entry(a->archive, entry, &a->last) : KL_ERROR_MEMORY;
    kl_free(entry);
    if (!status && !a->last.at)
        status = kl_error(KL_ERROR_NOT_FOUND, "the archive has no asset %s of %s", name, a->path);
    *data = a->last.at;
    *size = a->last.size;
    return status;
}

static kl_status load_assets(kl_layer *layer, const char *path, void *user)
{
    asset_reading a = {.archive = user, .path = path};
    kl_status status =
        layer->vtable->load_assets ? layer->vtable->load_assets(layer, read_asset, &a) : KL_OK;
    kl_free(a.last.at);
    return status;
}

static kl_model *load_archive(opened *archive)
{
    kl_bytes config, image = {0};
    kl_model *model = NULL;
    kl_status status = read_entry(archive, "config.json", &config);
    if (!status && !config.at)
        status = kl_error(KL_ERROR_FORMAT, "the archive has no config.json: it is no .keras file");
    if (!status)
        status = read_entry(archive, "model.weights.h5", &image);
    if (!status) {
        /* Half precision is stored as such or wider, so nothing is smaller in the file. */
        kl_weights_limit(ANY_WEIGHTS + 4 * (int64_t)image.size);
        model = model_from_config(config);
        kl_weights_limit(-1);
        status = model ? KL_OK : kl_last_status();
    }
    if (!status)
        status = kl_layer_walk(model, "", load_assets, archive);
    if (!status && image.at)
        status = kl_weights_read(model, image);
    kl_free(config.at);
    kl_free(image.at);
    if (!status)
        return model;
    kl_layer_release(model);
    return NULL;
}

kl_model *kl_load_model(const char *path)
{
    if (!path) {
        kl_error_null("kl_load_model", "path");
        return NULL;
    }
    kl_layers_use_all();
    int code = 0;
    zip_t *archive = zip_open(path, ZIP_RDONLY, &code);
    if (!archive) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        kl_error(code == ZIP_ER_NOENT || code == ZIP_ER_OPEN ? KL_ERROR_IO : KL_ERROR_FORMAT,
                 "%s: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return NULL;
    }
    struct stat about;
    opened from = {archive, stat(path, &about) ? 0 : (uint64_t)about.st_size};
    kl_model *model = load_archive(&from);
    if (!model)
        kl_error_prefix(path);
    zip_discard(archive);
    return model;
}
