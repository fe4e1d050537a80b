# Tests that are not C programs.
add_test(NAME headers COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/package/headers
         ${PROJECT_SOURCE_DIR}/include ${CMAKE_C_COMPILER})
set_tests_properties(headers PROPERTIES SKIP_RETURN_CODE 77)

if(KL_INSTALL AND KL_BUILD_SHARED AND NOT KL_SANITIZE)
  add_test(NAME package COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/package/run ${PROJECT_SOURCE_DIR}
           ${PROJECT_BINARY_DIR} ${PROJECT_VERSION})
  set_tests_properties(package PROPERTIES TIMEOUT 900)
endif()

# The judge: layers against what real Keras did (see tests/golden/README.md).
add_executable(golden_runner golden/golden_runner.c golden/case_tensor.c)
kl_configure(golden_runner)
target_link_libraries(golden_runner PRIVATE kl_test_base)
add_test(NAME golden COMMAND golden_runner ${CMAKE_CURRENT_SOURCE_DIR}/golden/cases)
set_tests_properties(golden PROPERTIES TIMEOUT 900)
target_compile_definitions(golden_test_damaged PRIVATE
                           KL_GOLDEN_RUNNER="$<TARGET_FILE:golden_runner>")
add_dependencies(golden_test_damaged golden_runner)

# Every float32 through the library's own polynomials: built, and run by hand.
add_executable(check_all_floats kernels/check_all_floats.c)
kl_configure(check_all_floats)
target_link_libraries(check_all_floats PRIVATE kl_test_base)

# The fuzz targets over their committed corpora; with clang and -DKL_FUZZ=ON also for libFuzzer.
option(KL_FUZZ "Build the fuzz targets for libFuzzer (needs clang)" OFF)
set(KL_FUZZED npy config text)
if(KL_HAVE_SAVING)
  list(APPEND KL_FUZZED keras)
endif()
foreach(topic ${KL_FUZZED})
  add_executable(fuzz_${topic}_corpus fuzz/fuzz_${topic}.c fuzz/run_corpus.c)
  kl_configure(fuzz_${topic}_corpus)
  target_link_libraries(fuzz_${topic}_corpus PRIVATE kl_test_base)
  add_test(NAME fuzz/${topic}
           COMMAND fuzz_${topic}_corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${topic})
  set_tests_properties(fuzz/${topic} PROPERTIES TIMEOUT 900)
  if(KL_FUZZ)
    add_executable(fuzz_${topic} fuzz/fuzz_${topic}.c)
    kl_configure(fuzz_${topic})
    target_link_libraries(fuzz_${topic} PRIVATE kl_test_base)
    target_link_options(fuzz_${topic} PRIVATE -fsanitize=fuzzer)
  endif()
endforeach()

# examples/CATALOGUE.md, made from the layers' field tables: `ninja catalogue` after adding a layer.
add_executable(layer_catalogue layers/catalogue.c)
kl_configure(layer_catalogue)
target_link_libraries(layer_catalogue PRIVATE kl_test_base)
add_custom_target(catalogue COMMAND layer_catalogue ${PROJECT_SOURCE_DIR} VERBATIM)
add_test(NAME layers/catalogue COMMAND layer_catalogue ${PROJECT_SOURCE_DIR} --check)
