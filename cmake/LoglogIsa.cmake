# Instruction sets (ISAs): one object library of kernels/simd/isa_table.cpp each, with its own flags.

# loglog_add_isa(avx2 ARCH fma3<xsimd::avx2> PROCESSOR x86_64 REGISTERS 16 MR 6 NV 2 CPUINFO avx2 fma FLAGS -mavx2 -mfma)
#   ARCH       xsimd's name of the instruction set; none for the scalar one, which does not use xsimd
#   PROCESSOR  pattern of CMAKE_SYSTEM_PROCESSOR where this ISA exists; none means everywhere
#   MR NV      register tile of the float gemm: MR rows, NV vectors
#   CPUINFO    words of Linux's /proc/cpuinfo ("flags" or "Features") that a CPU with this ISA has: where all are there,
#              ./run test requires the ISA. Every ISA but scalar has some.
# An ISA that the target lacks, or that LOGLOG_ISAS leaves out, is passed over. ISAs are registered best first.
function(loglog_add_isa name)
  cmake_parse_arguments(ARG "" "ARCH;PROCESSOR;REGISTERS;MR;NV" "CPUINFO;FLAGS" ${ARGN})
  set_property(GLOBAL APPEND PROPERTY LOGLOG_KNOWN_ISAS ${name})
  if(NOT ARG_CPUINFO AND NOT name STREQUAL scalar)
    message(FATAL_ERROR "loglog_add_isa(${name}): CPUINFO is missing, the words of /proc/cpuinfo that say that a CPU has it")
  endif()
  if(ARG_PROCESSOR AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(${ARG_PROCESSOR})$")
    return()
  endif()
  if(LOGLOG_ISAS AND NOT name IN_LIST LOGLOG_ISAS AND NOT name STREQUAL scalar)
    return()
  endif()
  set(target loglog_isa_${name})
  add_library(${target} OBJECT ${CMAKE_SOURCE_DIR}/kernels/simd/isa_table.cpp)
  target_link_libraries(${target} PRIVATE loglog_flags tp::xsimd)
  # -O3 also in Debug: an unoptimised register tile is a hundred times slower and tests nothing more. Link-time
  # optimisation would inline across ISAs and undo the separation of flags.
  set(optimisation -O3)
  if(LOGLOG_SANITIZE)
    set(optimisation -O1)  # with a check in every loop -O3 takes minutes to compile
  endif()
  target_compile_options(${target} PRIVATE ${ARG_FLAGS} ${optimisation} -ffp-contract=off -fno-exceptions -fno-lto
                         # GCC's own AVX-512 headers pass undefined registers on purpose (GCC PR 105593).
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -Wno-uninitialized)
  set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
  target_compile_definitions(${target} PRIVATE LOGLOG_ISA_NAME=${name} LOGLOG_MR=${ARG_MR} LOGLOG_NV=${ARG_NV}
                                               LOGLOG_REGISTERS=${ARG_REGISTERS})
  if(ARG_ARCH)
    target_compile_definitions(${target} PRIVATE "LOGLOG_ARCH=xsimd::${ARG_ARCH}")
  endif()
  target_sources(loglog_kernels PRIVATE $<TARGET_OBJECTS:${target}>)
  set_property(GLOBAL APPEND PROPERTY LOGLOG_BUILT_ISAS ${name})
  string(JOIN " " row ${name} ${ARG_CPUINFO})
  set_property(GLOBAL APPEND_STRING PROPERTY LOGLOG_ISA_LINES "${row}\n")
endfunction()

# Writes built_isas.inc, the list of ISAs that isa.cpp includes, and isas.txt, the ISAs and their CPUINFO for ./run test;
# refuses names in LOGLOG_ISAS that do not exist.
function(loglog_finish_isas)
  get_property(known GLOBAL PROPERTY LOGLOG_KNOWN_ISAS)
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  foreach(name ${LOGLOG_ISAS})
    if(NOT name IN_LIST built)
      message(FATAL_ERROR "LOGLOG_ISAS: '${name}' cannot be built for ${CMAKE_SYSTEM_PROCESSOR}; known: ${known}")
    endif()
  endforeach()
  set(lines "")
  foreach(name ${built})
    string(APPEND lines "LOGLOG_ISA_ROW(${name})\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/built_isas.inc CONTENT "${lines}" @ONLY)
  get_property(rows GLOBAL PROPERTY LOGLOG_ISA_LINES)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/isas.txt CONTENT "${rows}" @ONLY)
  target_include_directories(loglog_kernels PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()

# loglog_isa_test(kernels gemm DEPS kernels): builds tests/kernels/test_gemm.cpp once and registers it per ISA as
# "kernels.gemm@avx2". Return code 77 (the CPU lacks the ISA) is shown as skipped. On x86 the tests of the kernels also
# run on emulated CPUs (label qemu): Haswell has AVX2 and no AVX-512, Nehalem has neither and must refuse avx2.
function(loglog_isa_test folder name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "DEPS;LINK" ${ARGN})
  set(target test_${folder}_${name})
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${folder}/test_${name}.cpp)
  target_link_libraries(${target} PRIVATE loglog_isa_test_main loglog_kernels ${ARG_LINK})
  loglog_build_fast(${target})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${target} PRIVATE loglog_${dep})
  endforeach()
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  foreach(isa ${built})
    set(test ${folder}.${name}@${isa})
    add_test(NAME ${test} COMMAND ${target} --isa ${isa} ${LOGLOG_TEST_CASES} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77)
    if(ARG_TIMEOUT)
      loglog_timeout(${test} ${ARG_TIMEOUT})
    endif()
    loglog_label_subset(${target} ${test})
  endforeach()
  if(folder STREQUAL kernels)
    loglog_qemu_test(${name} avx2 Haswell)
    loglog_qemu_test(${name} scalar Haswell)
    loglog_qemu_test(${name} scalar Nehalem)
  endif()
endfunction()

# kernels.gemm@avx2.Haswell: the same program on a CPU that qemu emulates; without qemu-x86_64 there is no such test.
function(loglog_qemu_test name isa cpu)
  find_program(LOGLOG_QEMU_X86_64 qemu-x86_64)
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  if(NOT LOGLOG_QEMU_X86_64 OR LOGLOG_SANITIZE OR NOT isa IN_LIST built OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  set(test kernels.${name}@${isa}.${cpu})
  add_test(NAME ${test} COMMAND ${LOGLOG_QEMU_X86_64} -cpu ${cpu} $<TARGET_FILE:test_kernels_${name}> --isa ${isa}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${test} PROPERTIES LABELS qemu TIMEOUT 480 ENVIRONMENT "LOGLOG_REQUIRE_ISA=${isa}")
endfunction()
