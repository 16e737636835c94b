# Targets of this project. One library per folder; headers are included from the root ("kernels/gemm.hpp")
# or from src ("fit/laws.hpp").

find_program(LOGLOG_CCACHE ccache)
if(LOGLOG_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LOGLOG_CCACHE})
endif()

# Flags of everything outside kernels/simd. Contraction stays off so that a sum has the same bits whatever the
# compiler thinks of it; kernels fuse only through muladd().
add_library(loglog_flags INTERFACE)
target_compile_options(loglog_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers -Werror
                                              -ffp-contract=off -fno-math-errno)
# GCC 12 sees overlapping copies in std::string = "literal" (its bug 105329).
target_compile_options(loglog_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(loglog_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src)
if(LOGLOG_SANITIZE)
  target_compile_options(loglog_flags INTERFACE -fsanitize=${LOGLOG_SANITIZE} -fno-sanitize-recover=all
                                                -fno-omit-frame-pointer)
  target_link_options(loglog_flags INTERFACE -fsanitize=${LOGLOG_SANITIZE})
  # GCC 12 sees uninitialised members in <regex>, which Catch2 includes (its bug 105562).
  target_compile_options(loglog_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_definitions(loglog_flags INTERFACE LOGLOG_SANITIZED)  # LOGLOG_DCHECK is on, also with NDEBUG
endif()
# Cases that a test program leaves out, because a sanitizer takes memory of its own and keeps what was given back for a while
# ([process_memory]), or has an operator new that no program can replace ([allocator], tests/support/failing_allocator.hpp).
set(LOGLOG_TEST_CASES)
if(LOGLOG_SANITIZE)
  set(LOGLOG_TEST_CASES "~[process_memory]")
endif()
if(LOGLOG_SANITIZE STREQUAL "thread")
  string(APPEND LOGLOG_TEST_CASES "~[allocator]")
endif()

# loglog_library(fit SOURCES laws.cpp ... DEPS base ... LINK Ceres::ceres ...)
#   DEPS  folders of this project, along the arrows of docs/architecture.md; visible to users of this library
#   LINK  third-party targets, visible to this library alone
function(loglog_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK" ${ARGN})
  add_library(loglog_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(loglog_${name} PUBLIC loglog_flags)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(loglog_${name} PUBLIC loglog_${dep})
  endforeach()
  target_link_libraries(loglog_${name} PRIVATE ${ARG_LINK})
endfunction()

# Tests, reports, the store and the command line are large in templates and small in loops: -O1 takes less time to build.
function(loglog_build_fast target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# The tests that .ci/run repeats under the sanitizers: what reads a stranger's file, and kernels, but not on a model of
# instructions. Target sanitizer_subset builds their programs, ctest label "sanitizers" runs them.
set(LOGLOG_SANITIZER_SUBSET "^(support|base|kernels)[.]|^data[.](token_file|split|batcher|bigram|import|worlds)|^io[.]|^formats[.](hf|hf_config|llmc)$|^model[.](config|checkpoint|open_model)|^sweep[.](store|grid)|^fit[.]table|^report[.]html")
add_custom_target(sanitizer_subset)
function(loglog_label_subset target test)
  if(test MATCHES "${LOGLOG_SANITIZER_SUBSET}" AND NOT test MATCHES "[.]model$")
    set_property(TEST ${test} APPEND PROPERTY LABELS sanitizers)
    add_dependencies(sanitizer_subset ${target})
  endif()
endfunction()

# Seconds after which a test has failed; instrumented programs are several times slower.
function(loglog_timeout test seconds)
  if(LOGLOG_SANITIZE)
    math(EXPR seconds "5 * ${seconds}")
  endif()
  set_tests_properties(${test} PROPERTIES TIMEOUT ${seconds})
endfunction()

# loglog_test(fit laws DEPS fit ...): builds tests/fit/test_laws.cpp and registers it as ctest entry "fit.laws".
function(loglog_test folder name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "DEPS;LINK" ${ARGN})
  set(target test_${folder}_${name})
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${folder}/test_${name}.cpp)
  target_link_libraries(${target} PRIVATE loglog_test_main ${ARG_LINK})
  loglog_build_fast(${target})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${target} PRIVATE loglog_${dep})
  endforeach()
  add_test(NAME ${folder}.${name} COMMAND ${target} ${LOGLOG_TEST_CASES} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${folder}.${name} PROPERTIES SKIP_RETURN_CODE 77)  # tests/support/skip.hpp
  if(ARG_TIMEOUT)
    loglog_timeout(${folder}.${name} ${ARG_TIMEOUT})
  endif()
  loglog_label_subset(${target} ${folder}.${name})
endfunction()

# The same for a test that runs the program itself (tests/support/program.hpp).
function(loglog_program_test folder name)
  loglog_test(${folder} ${name} ${ARGN})
  add_dependencies(test_${folder}_${name} loglog)
  target_compile_definitions(test_${folder}_${name} PRIVATE LOGLOG_PROGRAM="$<TARGET_FILE:loglog>")
endfunction()
