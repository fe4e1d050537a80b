# Installs the library, its headers and what find_package and pkg-config need.
include(CMakePackageConfigHelpers)
set(KL_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/klayers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

# Two export sets, so that a program that links the shared library needs none of the libraries
# behind it.
install(TARGETS klayers_static EXPORT klayersStaticTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT klayersStaticTargets NAMESPACE klayers:: DESTINATION ${KL_PACKAGE_DIR})
if(KL_BUILD_SHARED)
  install(TARGETS klayers EXPORT klayersTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT klayersTargets NAMESPACE klayers:: DESTINATION ${KL_PACKAGE_DIR})
endif()

# How the libraries behind it are found again.
set(KL_STATIC_FIND "pkg_check_modules(OPENBLAS QUIET IMPORTED_TARGET openblas)")
set(KL_STATIC_FOUND "OPENBLAS_FOUND")
set(KL_PC_PRIVATE "openblas")
if(KL_HAVE_SAVING)
  string(APPEND KL_STATIC_FIND "
    pkg_check_modules(LIBZIP QUIET IMPORTED_TARGET libzip)
    pkg_check_modules(HDF5 QUIET IMPORTED_TARGET ${HDF5_MODULE_NAME})")
  string(APPEND KL_STATIC_FOUND " AND LIBZIP_FOUND AND HDF5_FOUND")
  string(APPEND KL_PC_PRIVATE ", libzip, ${HDF5_MODULE_NAME}")
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/src/klayersConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/klayersConfig.cmake
                              INSTALL_DESTINATION ${KL_PACKAGE_DIR})
# Before version 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/klayersConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/klayersConfig.cmake
              ${PROJECT_BINARY_DIR}/klayersConfigVersion.cmake
        DESTINATION ${KL_PACKAGE_DIR})

# Told from where the file lies, so that the tree may be installed or moved anywhere.
file(RELATIVE_PATH KL_PC_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" KL_PC_UP "${KL_PC_UP}")
foreach(dir INCLUDEDIR LIBDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(KL_PC_${dir} "${CMAKE_INSTALL_${dir}}")
  else()
    set(KL_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/src/klayers.pc.in ${PROJECT_BINARY_DIR}/klayers.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/klayers.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
