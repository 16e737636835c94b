# Instruction sets (ISAs): one object library each, with its own flags.

# loglog_add_isa(avx2 ARCH fma3<xsimd::avx2> PROCESSOR x86_64 REGISTERS 16 MR 6 NV 2 CPUINFO avx2 fma FLAGS -mavx2 -mfma)
# loglog_add_isa(avx_vnni BASE avx2 PROVIDES gemm_s8 peak CPUINFO avx_vnni FLAGS -mavxvnni)
#   BASE       the ISA that this one extends: all that is not given here is its base's. Without a base an ISA has all
#              families (simd/isa_table.cpp).
#   PROVIDES   families of table.hpp that an ISA with a base does better (simd/isa_products.cpp). `peak` is always among them:
#              it multiplies with other instructions, and tests/kernels/test_peak.cpp runs where the word stands.
#   ARCH       xsimd's name of the instruction set; none for the scalar one, which does not use xsimd
#   PROCESSOR  pattern of CMAKE_SYSTEM_PROCESSOR where this ISA exists; none means everywhere
#   MR NV      register tile of the float gemm: MR rows, NV vectors
#   CPUINFO    words of Linux's /proc/cpuinfo ("flags" or "Features") that a CPU with this ISA has: where all are there,
#              ./run test requires the ISA. Every ISA but scalar has some.
# An ISA that the target lacks, or that LOGLOG_ISAS leaves out, is passed over; so is one whose base is. ISAs are
# registered worst first, and chosen best first.
function(loglog_add_isa name)
  cmake_parse_arguments(ARG "" "BASE;ARCH;PROCESSOR;REGISTERS;MR;NV" "PROVIDES;CPUINFO;FLAGS" ${ARGN})
  set_property(GLOBAL APPEND PROPERTY LOGLOG_KNOWN_ISAS ${name})
  if(NOT ARG_CPUINFO AND NOT name STREQUAL scalar)
    message(FATAL_ERROR "loglog_add_isa(${name}): CPUINFO is missing, the words of /proc/cpuinfo that say that a CPU has it")
  endif()
  if(LOGLOG_ISAS AND NOT name IN_LIST LOGLOG_ISAS AND NOT name STREQUAL scalar)
    return()
  endif()
  set(source isa_table.cpp)
  if(ARG_BASE)
    get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
    if(NOT ARG_BASE IN_LIST built)
      return()
    endif()
    set(source isa_products.cpp)
    foreach(key ARCH REGISTERS MR NV)
      get_property(ARG_${key} GLOBAL PROPERTY LOGLOG_ISA_${ARG_BASE}_${key})
    endforeach()
    foreach(key CPUINFO FLAGS)
      get_property(inherited GLOBAL PROPERTY LOGLOG_ISA_${ARG_BASE}_${key})
      list(PREPEND ARG_${key} ${inherited})
    endforeach()
  elseif(ARG_PROCESSOR AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(${ARG_PROCESSOR})$")
    return()
  endif()
  foreach(key ARCH REGISTERS MR NV CPUINFO FLAGS)
    set_property(GLOBAL PROPERTY LOGLOG_ISA_${name}_${key} ${ARG_${key}})
  endforeach()
  set(target loglog_isa_${name})
  add_library(${target} OBJECT ${CMAKE_SOURCE_DIR}/kernels/simd/${source})
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
  foreach(family ${ARG_PROVIDES})
    target_compile_definitions(${target} PRIVATE LOGLOG_PROVIDES_${family})
  endforeach()
  if(ARG_ARCH)
    target_compile_definitions(${target} PRIVATE "LOGLOG_ARCH=xsimd::${ARG_ARCH}")
  endif()
  target_sources(loglog_kernels PRIVATE $<TARGET_OBJECTS:${target}>)
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  set_property(GLOBAL PROPERTY LOGLOG_BUILT_ISAS ${name} ${built})
  set_property(GLOBAL PROPERTY LOGLOG_ISA_${name}_BASE ${ARG_BASE})
  set_property(GLOBAL PROPERTY LOGLOG_ISA_${name}_PROVIDES ${ARG_PROVIDES})
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
  set(rows "")
  foreach(name ${built})
    get_property(base GLOBAL PROPERTY LOGLOG_ISA_${name}_BASE)
    get_property(cpuinfo GLOBAL PROPERTY LOGLOG_ISA_${name}_CPUINFO)
    string(APPEND lines "LOGLOG_ISA_ROW(${name}, \"${base}\")\n")
    string(JOIN " " row ${name} ${cpuinfo})
    string(APPEND rows "${row}\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/built_isas.inc CONTENT "${lines}" @ONLY)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/isas.txt CONTENT "${rows}" @ONLY)
  target_include_directories(loglog_kernels PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()

# loglog_isa_test(kernels gemm DEPS kernels): builds tests/kernels/test_gemm.cpp once and registers it per ISA as
# "kernels.gemm@avx2" (folder kernels/rowwise: "kernels.rowwise.norm@avx2"); for an ISA with a base when FAMILY [float32] is what it provides, or any. Return code 77 (the CPU lacks the ISA) is shown as skipped. On x86 the tests of the kernels also
# run on emulated CPUs (label qemu): Haswell has AVX2 and no AVX-512, Nehalem has neither and must refuse avx2.
function(loglog_isa_test folder name)
  cmake_parse_arguments(ARG "" "TIMEOUT;FAMILY" "DEPS;LINK" ${ARGN})
  if(NOT ARG_FAMILY)
    set(ARG_FAMILY float32)
  endif()
  string(REPLACE "/" "_" target test_${folder}_${name})
  string(REPLACE "/" "." full_name ${folder}.${name})
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${folder}/test_${name}.cpp)
  target_link_libraries(${target} PRIVATE loglog_isa_test_main loglog_kernels ${ARG_LINK})
  loglog_build_fast(${target})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${target} PRIVATE loglog_${dep})
  endforeach()
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  foreach(isa ${built})
    get_property(base GLOBAL PROPERTY LOGLOG_ISA_${isa}_BASE)
    get_property(provided GLOBAL PROPERTY LOGLOG_ISA_${isa}_PROVIDES)
    if(base AND NOT ARG_FAMILY STREQUAL any AND NOT ARG_FAMILY IN_LIST provided)
      continue()  # its base's functions, tested there
    endif()
    # What takes minutes where it is emulated: plain C++, which the native build and Nehalem test too.
    if(isa STREQUAL scalar AND CMAKE_CROSSCOMPILING AND NOT built STREQUAL scalar AND name MATCHES "^(attention|gemm|ladder)")
      continue()
    endif()
    set(test ${full_name}@${isa})
    add_test(NAME ${test} COMMAND ${target} --isa ${isa} ${LOGLOG_TEST_CASES} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77)
    if(ARG_TIMEOUT)
      loglog_timeout(${test} ${ARG_TIMEOUT})
    endif()
    loglog_label_subset(${target} ${test})
  endforeach()
  if(folder MATCHES "^kernels")
    loglog_qemu_test(${target} ${full_name} avx2 Haswell)
    loglog_qemu_test(${target} ${full_name} scalar Nehalem)
  endif()
endfunction()

# kernels.gemm@avx2.Haswell: the same program on a CPU that qemu emulates; without qemu-x86_64 there is no such test.
function(loglog_qemu_test target full_name isa cpu)
  find_program(LOGLOG_QEMU_X86_64 qemu-x86_64)
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  if(NOT LOGLOG_QEMU_X86_64 OR LOGLOG_SANITIZE OR NOT isa IN_LIST built OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  # Cases that take minutes where they are emulated are left to this CPU, if it has the ISA too.
  set(cases)
  set(flags)
  if(EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo flags REGEX "^flags" LIMIT_COUNT 1)
  endif()
  if(isa STREQUAL scalar OR "${flags} " MATCHES " ${isa} ")
    set(cases "~[large]")
  endif()
  set(test ${full_name}@${isa}.${cpu})
  add_test(NAME ${test} COMMAND ${LOGLOG_QEMU_X86_64} -cpu ${cpu} $<TARGET_FILE:${target}> --isa ${isa} ${cases}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${test} PROPERTIES LABELS qemu TIMEOUT 480 ENVIRONMENT "LOGLOG_REQUIRE_ISA=${isa}")
endfunction()

# loglog_add_isa_objects(ladder kernels/simd/ladder/ladder_table.cpp): compiles one more source once per ISA that has no base,
# with the flags of its kernels and those that follow, as part of loglog_ladder; built_ladders.inc lists them as
# LOGLOG_LADDER_ROW(name).
function(loglog_add_isa_objects library source)
  get_property(built GLOBAL PROPERTY LOGLOG_BUILT_ISAS)
  string(TOUPPER ${library} macro)
  set(lines "")
  foreach(name ${built})
    get_property(base GLOBAL PROPERTY LOGLOG_ISA_${name}_BASE)
    if(base)
      continue()
    endif()
    set(target loglog_${library}_${name})
    add_library(${target} OBJECT ${CMAKE_SOURCE_DIR}/${source})
    foreach(property COMPILE_OPTIONS COMPILE_DEFINITIONS LINK_LIBRARIES INTERPROCEDURAL_OPTIMIZATION)
      get_target_property(value loglog_isa_${name} ${property})
      set_property(TARGET ${target} PROPERTY ${property} ${value})
    endforeach()
    target_compile_options(${target} PRIVATE ${ARGN})
    target_sources(loglog_${library} PRIVATE $<TARGET_OBJECTS:${target}>)
    string(APPEND lines "LOGLOG_${macro}_ROW(${name})\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/built_${library}s.inc CONTENT "${lines}" @ONLY)
  target_include_directories(loglog_${library} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()
