/* The keyword-argument macros give the defaults that the _defaults() functions give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "klayers/klayers.h"

/* From here on a macro writes its arguments down instead of calling the function. */
#undef KL_CALL_
#define KL_CALL_(fn, T, defaults, ...)                                                             \
    do {                                                                                           \
        _Pragma("GCC diagnostic push")                                                             \
        _Pragma("GCC diagnostic ignored \"-Woverride-init\"")                                      \
        static const T args = {.size = sizeof(T), KL_UNPAREN_ defaults, __VA_ARGS__};              \
        _Pragma("GCC diagnostic pop")                                                              \
        memcpy(by_macro, &args, sizeof args);                                                      \
    } while (0)

static uint64_t by_macro[1024], by_function[1024];

extern char __executable_start, end;

static const char *text_at(uint64_t word)
{
    const char *at = (const char *)(uintptr_t)word;
    return at > &__executable_start && at < &end ? at : NULL;
}

/* Equal but for padding behind a bool or an int: which has any value. */
static bool same(uint64_t a, uint64_t b)
{
    if (a == b || (uint32_t)a == (uint32_t)b || ((uint8_t)a == (uint8_t)b && (uint8_t)a <= 1))
        return true;
    const char *x = text_at(a), *y = text_at(b);
    return x && y && !strcmp(x, y);
}

#define CHECK(name, T, get)                                                                        \
    static void check_##name(void)                                                                 \
    {                                                                                              \
        memset(by_macro, 0, sizeof by_macro);                                                      \
        memset(by_function, 0, sizeof by_function);                                                \
        name(.mark = 0);                                                                           \
        T made = get();                                                                            \
        made.mark = 0;                                                                             \
        memcpy(by_function, &made, sizeof made);                                                   \
        assert_true(sizeof made <= sizeof by_macro);                                               \
        for (size_t i = 0; i < sizeof made / 8; i++)                                               \
            if (!same(by_macro[i], by_function[i]))                                                \
                fail_msg(#name ": byte %zu differs", 8 * i);                                       \
    }

/* Not those of the norm constraints: an axes list left out is the first axis, which no macro can
   write. */
#define ALL(X)                                                                                     \
    X(kl_activation_relu, kl_activation_relu_args, kl_activation_relu_defaults)                    \
    X(kl_activation_leaky_relu, kl_activation_leaky_relu_args, kl_activation_leaky_relu_defaults)  \
    X(kl_activation_elu, kl_activation_elu_args, kl_activation_elu_defaults)                       \
    X(kl_activation_celu, kl_activation_celu_args, kl_activation_celu_defaults)                    \
    X(kl_activation_hard_shrink, kl_activation_hard_shrink_args,                                   \
      kl_activation_hard_shrink_defaults)                                                          \
    X(kl_activation_soft_shrink, kl_activation_soft_shrink_args,                                   \
      kl_activation_soft_shrink_defaults)                                                          \
    X(kl_activation_squareplus, kl_activation_squareplus_args, kl_activation_squareplus_defaults)  \
    X(kl_activation_threshold, kl_activation_threshold_args, kl_activation_threshold_defaults)     \
    X(kl_activation_softmax, kl_activation_softmax_args, kl_activation_softmax_defaults)           \
    X(kl_activation_log_softmax, kl_activation_log_softmax_args,                                   \
      kl_activation_log_softmax_defaults)                                                          \
    X(kl_activation_sparsemax, kl_activation_sparsemax_args, kl_activation_sparsemax_defaults)     \
    X(kl_activation_glu, kl_activation_glu_args, kl_activation_glu_defaults)                       \
    X(kl_activation_gelu, kl_activation_gelu_args, kl_activation_gelu_defaults)                    \
    X(kl_callback_early_stopping, kl_callback_early_stopping_args,                                 \
      kl_callback_early_stopping_defaults)                                                         \
    X(kl_callback_reduce_lr_on_plateau, kl_callback_reduce_lr_on_plateau_args,                     \
      kl_callback_reduce_lr_on_plateau_defaults)                                                   \
    X(kl_callback_model_checkpoint, kl_callback_model_checkpoint_args,                             \
      kl_callback_model_checkpoint_defaults)                                                       \
    X(kl_non_neg, kl_non_neg_args, kl_non_neg_defaults)                                            \
    X(kl_radial_constraint, kl_radial_constraint_args, kl_radial_constraint_defaults)              \
    X(kl_zeros_initializer, kl_zeros_initializer_args, kl_zeros_initializer_defaults)              \
    X(kl_ones_initializer, kl_ones_initializer_args, kl_ones_initializer_defaults)                 \
    X(kl_constant, kl_constant_args, kl_constant_defaults)                                         \
    X(kl_random_normal, kl_random_normal_args, kl_random_normal_defaults)                          \
    X(kl_truncated_normal, kl_truncated_normal_args, kl_truncated_normal_defaults)                 \
    X(kl_random_uniform, kl_random_uniform_args, kl_random_uniform_defaults)                       \
    X(kl_variance_scaling, kl_variance_scaling_args, kl_variance_scaling_defaults)                 \
    X(kl_glorot_uniform, kl_glorot_uniform_args, kl_glorot_uniform_defaults)                       \
    X(kl_glorot_normal, kl_glorot_normal_args, kl_glorot_normal_defaults)                          \
    X(kl_he_uniform, kl_he_uniform_args, kl_he_uniform_defaults)                                   \
    X(kl_he_normal, kl_he_normal_args, kl_he_normal_defaults)                                      \
    X(kl_lecun_uniform, kl_lecun_uniform_args, kl_lecun_uniform_defaults)                          \
    X(kl_lecun_normal, kl_lecun_normal_args, kl_lecun_normal_defaults)                             \
    X(kl_orthogonal, kl_orthogonal_args, kl_orthogonal_defaults)                                   \
    X(kl_identity_initializer, kl_identity_initializer_args, kl_identity_initializer_defaults)     \
    X(kl_stft, kl_stft_args, kl_stft_defaults)                                                     \
    X(kl_add_weight, kl_weight_args, kl_weight_defaults)                                           \
    X(kl_attention, kl_attention_args, kl_attention_defaults)                                      \
    X(kl_additive_attention, kl_additive_attention_args, kl_additive_attention_defaults)           \
    X(kl_multi_head_attention, kl_multi_head_attention_args, kl_multi_head_attention_defaults)     \
    X(kl_group_query_attention, kl_group_query_attention_args, kl_group_query_attention_defaults)  \
    X(kl_mel_spectrogram, kl_mel_spectrogram_args, kl_mel_spectrogram_defaults)                    \
    X(kl_stft_spectrogram, kl_stft_spectrogram_args, kl_stft_spectrogram_defaults)                 \
    X(kl_dense, kl_dense_args, kl_dense_defaults)                                                  \
    X(kl_ternary_dense, kl_ternary_dense_args, kl_ternary_dense_defaults)                          \
    X(kl_einsum_dense, kl_einsum_dense_args, kl_einsum_dense_defaults)                             \
    X(kl_activation_layer, kl_activation_layer_args, kl_activation_layer_defaults)                 \
    X(kl_lambda, kl_lambda_args, kl_lambda_defaults)                                               \
    X(kl_masking, kl_masking_args, kl_masking_defaults)                                            \
    X(kl_embedding, kl_embedding_args, kl_embedding_defaults)                                      \
    X(kl_reversible_embedding, kl_reversible_embedding_args, kl_reversible_embedding_defaults)     \
    X(kl_identity, kl_identity_args, kl_identity_defaults)                                         \
    X(kl_random_flip, kl_random_flip_args, kl_random_flip_defaults)                                \
    X(kl_random_translation, kl_random_translation_args, kl_random_translation_defaults)           \
    X(kl_random_rotation, kl_random_rotation_args, kl_random_rotation_defaults)                    \
    X(kl_random_zoom, kl_random_zoom_args, kl_random_zoom_defaults)                                \
    X(kl_random_shear, kl_random_shear_args, kl_random_shear_defaults)                             \
    X(kl_random_perspective, kl_random_perspective_args, kl_random_perspective_defaults)           \
    X(kl_random_crop, kl_random_crop_args, kl_random_crop_defaults)                                \
    X(kl_random_contrast, kl_random_contrast_args, kl_random_contrast_defaults)                    \
    X(kl_random_brightness, kl_random_brightness_args, kl_random_brightness_defaults)              \
    X(kl_random_erasing, kl_random_erasing_args, kl_random_erasing_defaults)                       \
    X(kl_random_hue, kl_random_hue_args, kl_random_hue_defaults)                                   \
    X(kl_random_saturation, kl_random_saturation_args, kl_random_saturation_defaults)              \
    X(kl_random_sharpness, kl_random_sharpness_args, kl_random_sharpness_defaults)                 \
    X(kl_random_grayscale, kl_random_grayscale_args, kl_random_grayscale_defaults)                 \
    X(kl_random_invert, kl_random_invert_args, kl_random_invert_defaults)                          \
    X(kl_random_posterization, kl_random_posterization_args, kl_random_posterization_defaults)     \
    X(kl_random_color_degeneration, kl_random_color_degeneration_args,                             \
      kl_random_color_degeneration_defaults)                                                       \
    X(kl_random_gaussian_blur, kl_random_gaussian_blur_args, kl_random_gaussian_blur_defaults)     \
    X(kl_random_elastic_transform, kl_random_elastic_transform_args,                               \
      kl_random_elastic_transform_defaults)                                                        \
    X(kl_random_color_jitter, kl_random_color_jitter_args, kl_random_color_jitter_defaults)        \
    X(kl_auto_contrast, kl_auto_contrast_args, kl_auto_contrast_defaults)                          \
    X(kl_equalization, kl_equalization_args, kl_equalization_defaults)                             \
    X(kl_contrast_limited_adaptive_histogram_equalization,                                         \
      kl_contrast_limited_adaptive_histogram_equalization_args,                                    \
      kl_contrast_limited_adaptive_histogram_equalization_defaults)                                \
    X(kl_solarization, kl_solarization_args, kl_solarization_defaults)                             \
    X(kl_rand_augment, kl_rand_augment_args, kl_rand_augment_defaults)                             \
    X(kl_aug_mix, kl_aug_mix_args, kl_aug_mix_defaults)                                            \
    X(kl_cut_mix, kl_cut_mix_args, kl_cut_mix_defaults)                                            \
    X(kl_mix_up, kl_mix_up_args, kl_mix_up_defaults)                                               \
    X(kl_max_num_bounding_boxes, kl_max_num_bounding_boxes_args,                                   \
      kl_max_num_bounding_boxes_defaults)                                                          \
    X(kl_center_crop, kl_center_crop_args, kl_center_crop_defaults)                                \
    X(kl_resizing, kl_resizing_args, kl_resizing_defaults)                                         \
    X(kl_random_height, kl_random_height_args, kl_random_height_defaults)                          \
    X(kl_random_width, kl_random_width_args, kl_random_width_defaults)                             \
    X(kl_pipeline, kl_pipeline_args, kl_pipeline_defaults)                                         \
    X(kl_concatenate, kl_concatenate_args, kl_concatenate_defaults)                                \
    X(kl_dot, kl_dot_args, kl_dot_defaults)                                                        \
    X(kl_batch_normalization, kl_batch_normalization_args, kl_batch_normalization_defaults)        \
    X(kl_layer_normalization, kl_layer_normalization_args, kl_layer_normalization_defaults)        \
    X(kl_rms_normalization, kl_rms_normalization_args, kl_rms_normalization_defaults)              \
    X(kl_normalization, kl_normalization_args, kl_normalization_defaults)                          \
    X(kl_text_vectorization, kl_text_vectorization_args, kl_text_vectorization_defaults)           \
    X(kl_simple_rnn_cell, kl_simple_rnn_cell_args, kl_simple_rnn_cell_defaults)                    \
    X(kl_gru_cell, kl_gru_cell_args, kl_gru_cell_defaults)                                         \
    X(kl_lstm_cell, kl_lstm_cell_args, kl_lstm_cell_defaults)                                      \
    X(kl_stacked_rnn_cells, kl_stacked_rnn_cells_args, kl_stacked_rnn_cells_defaults)              \
    X(kl_rnn, kl_rnn_args, kl_rnn_defaults)                                                        \
    X(kl_simple_rnn, kl_simple_rnn_args, kl_simple_rnn_defaults)                                   \
    X(kl_gru, kl_gru_args, kl_gru_defaults)                                                        \
    X(kl_lstm, kl_lstm_args, kl_lstm_defaults)                                                     \
    X(kl_bidirectional, kl_bidirectional_args, kl_bidirectional_defaults)                          \
    X(kl_conv_lstm1d, kl_conv_lstm1d_args, kl_conv_lstm1d_defaults)                                \
    X(kl_conv_lstm2d, kl_conv_lstm2d_args, kl_conv_lstm2d_defaults)                                \
    X(kl_conv_lstm3d, kl_conv_lstm3d_args, kl_conv_lstm3d_defaults)                                \
    X(kl_dropout, kl_dropout_args, kl_dropout_defaults)                                            \
    X(kl_flatten, kl_flatten_args, kl_flatten_defaults)                                            \
    X(kl_reshape, kl_reshape_args, kl_reshape_defaults)                                            \
    X(kl_repeat_vector, kl_repeat_vector_args, kl_repeat_vector_defaults)                          \
    X(kl_permute, kl_permute_args, kl_permute_defaults)                                            \
    X(kl_up_sampling1d, kl_up_sampling1d_args, kl_up_sampling1d_defaults)                          \
    X(kl_up_sampling2d, kl_up_sampling2d_args, kl_up_sampling2d_defaults)                          \
    X(kl_up_sampling3d, kl_up_sampling3d_args, kl_up_sampling3d_defaults)                          \
    X(kl_wrapper, kl_wrapper_args, kl_wrapper_defaults)                                            \
    X(kl_time_distributed, kl_time_distributed_args, kl_time_distributed_defaults)                 \
    X(kl_metric_sparse_categorical_crossentropy, kl_metric_sparse_args, kl_metric_sparse_defaults) \
    X(kl_metric_auc, kl_metric_auc_args, kl_metric_auc_defaults)                                   \
    X(kl_metric_precision_at_recall, kl_metric_constrained_args, kl_metric_constrained_defaults)   \
    X(kl_metric_recall_at_precision, kl_metric_constrained_args, kl_metric_constrained_defaults)   \
    X(kl_metric_sensitivity_at_specificity, kl_metric_constrained_args,                            \
      kl_metric_constrained_defaults)                                                              \
    X(kl_metric_specificity_at_sensitivity, kl_metric_constrained_args,                            \
      kl_metric_constrained_defaults)                                                              \
    X(kl_metric_f1_score, kl_metric_f_score_args, kl_metric_f_score_defaults)                      \
    X(kl_metric_fbeta_score, kl_metric_f_score_args, kl_metric_f_score_defaults)                   \
    X(kl_metric_r2_score, kl_metric_r2_score_args, kl_metric_r2_score_defaults)                    \
    X(kl_metric_iou, kl_metric_iou_args, kl_metric_iou_defaults)                                   \
    X(kl_metric_mean_iou, kl_metric_iou_args, kl_metric_iou_defaults)                              \
    X(kl_metric_one_hot_iou, kl_metric_iou_args, kl_metric_iou_defaults)                           \
    X(kl_metric_one_hot_mean_iou, kl_metric_iou_args, kl_metric_iou_defaults)                      \
    X(kl_metric_binary_iou, kl_metric_iou_args, kl_metric_iou_defaults)                            \
    X(kl_input, kl_input_args, kl_input_defaults)                                                  \
    X(kl_input_layer, kl_input_layer_args, kl_input_layer_defaults)                                \
    X(kl_sequential, kl_sequential_args, kl_sequential_defaults)                                   \
    X(kl_functional, kl_functional_args, kl_functional_defaults)                                   \
    X(kl_summary, kl_summary_args, kl_summary_defaults)                                            \
    X(kl_exponential_decay, kl_decay_args, kl_decay_defaults)                                      \
    X(kl_inverse_time_decay, kl_decay_args, kl_decay_defaults)                                     \
    X(kl_piecewise_constant_decay, kl_piecewise_constant_decay_args,                               \
      kl_piecewise_constant_decay_defaults)                                                        \
    X(kl_polynomial_decay, kl_polynomial_decay_args, kl_polynomial_decay_defaults)                 \
    X(kl_cosine_decay, kl_cosine_decay_args, kl_cosine_decay_defaults)                             \
    X(kl_cosine_decay_restarts, kl_cosine_decay_restarts_args, kl_cosine_decay_restarts_defaults)  \
    X(kl_sgd, kl_sgd_args, kl_sgd_defaults)                                                        \
    X(kl_rmsprop, kl_rmsprop_args, kl_rmsprop_defaults)                                            \
    X(kl_adam, kl_adam_args, kl_adam_defaults)                                                     \
    X(kl_adamw, kl_adamw_args, kl_adamw_defaults)                                                  \
    X(kl_adagrad, kl_adagrad_args, kl_adagrad_defaults)                                            \
    X(kl_adadelta, kl_adadelta_args, kl_adadelta_defaults)                                         \
    X(kl_adamax, kl_adamax_args, kl_adamax_defaults)                                               \
    X(kl_nadam, kl_nadam_args, kl_nadam_defaults)                                                  \
    X(kl_ftrl, kl_ftrl_args, kl_ftrl_defaults)                                                     \
    X(kl_lion, kl_lion_args, kl_lion_defaults)                                                     \
    X(kl_lamb, kl_lamb_args, kl_lamb_defaults)                                                     \
    X(kl_adafactor, kl_adafactor_args, kl_adafactor_defaults)                                      \
    X(kl_l1, kl_l1_args, kl_l1_defaults)                                                           \
    X(kl_l2, kl_l2_args, kl_l2_defaults)                                                           \
    X(kl_l1l2, kl_l1l2_args, kl_l1l2_defaults)                                                     \
    X(kl_orthogonal_regularizer, kl_orthogonal_regularizer_args,                                   \
      kl_orthogonal_regularizer_defaults)                                                          \
    X(kl_compile, kl_compile_args, kl_compile_defaults)                                            \
    X(kl_fit, kl_fit_args, kl_fit_defaults)                                                        \
    X(kl_evaluate, kl_evaluate_args, kl_evaluate_defaults)

ALL(CHECK)

#define RUN(name, T, get) check_##name();
static void macros_give_the_defaults(void **state)
{
    ALL(RUN)
}

/* Where the library says so itself: NULL is an error with a message, never a crash. */
static void null_is_refused(void **state)
{
    assert_null(kl_functional_new(NULL));
    assert_non_null(strstr(kl_last_error(), "args"));
    assert_int_not_equal(kl_op_run(NULL, NULL, 0, NULL, 0, 0, NULL), KL_OK);
    assert_null(kl_shape_text(1, NULL, NULL, 9));
    kl_scope_end_array_(NULL, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macros_give_the_defaults),
        cmocka_unit_test(null_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
