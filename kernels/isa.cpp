#include "kernels/isa.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "kernels/table.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace loglog::kernels {

#define LOGLOG_ISA_ROW(name, base) extern const KernelTable table_##name;
#include "built_isas.inc"
#undef LOGLOG_ISA_ROW

namespace {

#if defined(__x86_64__)

// CPUID says what the processor has; XCR0 says which registers the operating system saves. An instruction set
// counts only with both: without the second its first instruction traps.
struct X86Features {
  bool avx2_fma = false;
  bool avx_vnni = false;
  bool avx512 = false;  // F, CD, DQ, BW, VL: Skylake-X and later
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx = false;  // tiles of int8 and bfloat16, and the operating system's permission to use them
};

std::uint64_t xcr0() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

// Linux gives the 8 KiB of tile registers only to processes that ask (ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), for all of
// their threads.
bool tiles_permitted() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

X86Features detect_x86() {
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28;  // leaf 1, ecx
  constexpr unsigned kAvx2 = 1u << 5;                                        // leaf 7, ebx
  constexpr unsigned kAvx512 =
      (1u << 16) | (1u << 17) | (1u << 28) | (1u << 30) | (1u << 31);  // F DQ CD BW VL
  constexpr unsigned kAvx512Vnni = 1u << 11;                           // leaf 7, ecx
  constexpr unsigned kAvxVnni = 1u << 4, kAvx512Bf16 = 1u << 5;        // leaf 7, part 1, eax
  constexpr unsigned kAmx = (1u << 22) | (1u << 24) | (1u << 25);      // leaf 7, edx: bf16, tile, int8
  constexpr std::uint64_t kTileState = (1u << 17) | (1u << 18);
  constexpr std::uint64_t kYmmState = 0x6, kZmmState = 0xe6;  // xmm+ymm; and opmask, zmm0-15, zmm16-31
  unsigned a, b, c, d;
  X86Features found;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return found;
  if ((c & kOsxsave) == 0 || (c & kAvx) == 0 || (c & kFma) == 0) return found;
  const std::uint64_t saved = xcr0();
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
  found.avx2_fma = (b & kAvx2) != 0 && (saved & kYmmState) == kYmmState;
  found.avx512 = found.avx2_fma && (b & kAvx512) == kAvx512 && (saved & kZmmState) == kZmmState;
  found.avx512_vnni = found.avx512 && (c & kAvx512Vnni) != 0;
  found.amx =
      found.avx512_vnni && (d & kAmx) == kAmx && (saved & kTileState) == kTileState && tiles_permitted();
  if (a == 0 || __get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return found;
  found.avx_vnni = found.avx2_fma && (a & kAvxVnni) != 0;
  found.avx512_bf16 = found.avx512_vnni && (a & kAvx512Bf16) != 0;
  return found;
}

bool cpu_supports(std::string_view row) {
  static const X86Features features = detect_x86();
  if (row == "amx") return features.amx;
  if (row == "avx512_bf16") return features.avx512_bf16;
  if (row == "avx512_vnni") return features.avx512_vnni;
  if (row == "avx512") return features.avx512;
  if (row == "avx_vnni") return features.avx_vnni;
  if (row == "avx2") return features.avx2_fma;
  return row == "scalar";
}

#else

// Advanced SIMD is part of the 64-bit ARM baseline; what came later has to be asked for.
bool has_arm_feature([[maybe_unused]] bool is_dotprod) {
#if defined(__linux__)
  return is_dotprod ? (::getauxval(AT_HWCAP) & (1ul << 20)) != 0
                    : (::getauxval(AT_HWCAP2) & (1ul << 13)) != 0;
#elif defined(__APPLE__)
  int has = 0;
  std::size_t bytes = sizeof has;
  const char* const name = is_dotprod ? "hw.optional.arm.FEAT_DotProd" : "hw.optional.arm.FEAT_I8MM";
  return ::sysctlbyname(name, &has, &bytes, nullptr, 0) == 0 && has != 0;
#else
  return false;
#endif
}

bool cpu_supports(std::string_view row) {
  if (row == "neon_i8mm") return has_arm_feature(false) && has_arm_feature(true);
  if (row == "neon_dotprod") return has_arm_feature(true);
  return row == "scalar" || row == "neon";
}

#endif

// As it was compiled: without what it takes from its base.
struct BuiltIsa {
  std::string_view name, base;
  const KernelTable* table;
};
constexpr BuiltIsa kBuilt[] = {
#define LOGLOG_ISA_ROW(name, base) {#name, base, &table_##name},
#include "built_isas.inc"
#undef LOGLOG_ISA_ROW
};

KernelTable whole_table(std::string_view name) {
  for (const BuiltIsa& isa : kBuilt) {
    if (isa.name != name) continue;
    if (isa.base.empty()) return *isa.table;
    KernelTable whole = whole_table(isa.base);
    const auto take = [](auto& member, auto own) {
      if (own != nullptr) member = own;
    };
    take(whole.name, isa.table->name);
    take(whole.float32, isa.table->float32);
    take(whole.gemm_f32, isa.table->gemm_f32);
    take(whole.gemm_f32_in_place, isa.table->gemm_f32_in_place);
    take(whole.gemm_bf16, isa.table->gemm_bf16);
    take(whole.gemm_s8, isa.table->gemm_s8);
    take(whole.attention, isa.table->attention);
    take(whole.attention_rows, isa.table->attention_rows);
    take(whole.rowwise, isa.table->rowwise);
    take(whole.int8, isa.table->int8);
    take(whole.weight_only, isa.table->weight_only);
    take(whole.peak, isa.table->peak);
    return whole;
  }
  return {};  // no base is missing: CMake leaves out what it would be the base of
}

std::vector<KernelTable> whole_tables() {
  std::vector<KernelTable> tables;
  for (const BuiltIsa& isa : kBuilt) tables.push_back(whole_table(isa.name));
  return tables;
}

std::string available_rows() {
  std::string names = "auto";
  for (const IsaRow& row : isa_rows()) {
    if (row.supported) names += fmt::format(", {}", row.name);
  }
  return names;
}

}  // namespace

const std::vector<IsaRow>& isa_rows() {
  static const std::vector<KernelTable> tables = whole_tables();
  static const std::vector<IsaRow> rows = [] {
    std::vector<IsaRow> all;
    for (const KernelTable& table : tables) all.push_back({table.name, &table, cpu_supports(table.name)});
    return all;
  }();
  return rows;
}

const KernelTable& select_table(std::string_view name) {
  const bool best = name.empty() || name == "auto";
  for (const IsaRow& row : isa_rows()) {
    if (best ? row.supported : row.name == name) {
      if (row.supported) return *row.table;
      throw UsageError(fmt::format("isa '{}': this CPU or operating system lacks it; available: {}", name,
                                   available_rows()));
    }
  }
  throw UsageError(
      fmt::format("isa '{}' is not built into this program; available: {}", name, available_rows()));
}

}  // namespace loglog::kernels
