#include "bench/peers/sections.hpp"

#include <algorithm>

#include "bench/peers/products.hpp"
#include "kernels/attention.hpp"
#include "kernels/gemm.hpp"
#include "kernels/peak.hpp"

namespace loglog::bench {
namespace {

using namespace loglog::kernels;

auto in_set(std::string set) {
  return [set = std::move(set)](const Row& row) { return row.set == set; };
}

// A quick look takes the middle of what there is.
std::vector<GemmShape> cubes(const Session& session) {
  std::vector<GemmShape> shapes = cube_shapes();
  if (session.quick) std::erase_if(shapes, [](const GemmShape& s) { return s.m != 512 && s.m != 1024; });
  return shapes;
}

std::vector<GemmShape> training(const Session& session) {
  if (!session.quick) return training_shapes();
  std::vector<GemmShape> shapes;
  for (const LadderSize& size : {kLadder[0], kLadder[5], kLadder[10]})
    for (GemmShape& shape : training_shapes(size)) shapes.push_back(std::move(shape));
  return shapes;
}

bool has_tiles(const Session& session) {
  return std::string_view(session.table.name).find("amx") != std::string_view::npos;
}

}  // namespace

double value_of(const Row& row, Measure measure) {
  switch (measure) {
    case Measure::ratio:
      return row.result.ratio_to_best();
    case Measure::share:
      return row.result.share();
    case Measure::rate:
      return median(row.result.ours().per_round);
  }
  return 0.0;
}

const std::vector<SectionMaker>& section_makers() {
  static const std::vector<SectionMaker> makers = {
      {"f32", "products of float32", measure_f32},
      {"bf16", "products of bfloat16, weights packed before", measure_bf16},
      {"int8", "products of int8, weights packed before", measure_int8},
      {"m1", "one row, and eight, against weights in memory", measure_one_row},
      {"llm_int8", "the LLM.int8() product beside those of int8 and bfloat16", measure_llm_int8},
      {"attention", "causal attention, forward and backward", measure_attention},
      {"small", "64 cubed on one thread: dispatch and packing", measure_small},
  };
  return makers;
}

Section measure_f32(Session& session) {
  Section section{"f32", "f32 gemm", "GFLOP/s", "FMA peak", {}, {}};
  section.requirements = {{Measure::share, [](const Row& row) { return row.set == "cube"; }, 0.85, 0.80, ""},
                          {Measure::ratio, in_set("training"), 1.10, 1.0,
                           session.blas.empty() ? "no library to compare with" : ""}};
  // Cubes are asked for their share of the peak from 512 on.
  for (const GemmShape& s : cubes(session))
    section.rows.push_back(f32_row(session, s.m < 512 ? "small cube" : "cube", s, session.threads,
                                   operations(session, s, sample_fma_flops)));
  for (const GemmShape& s : training(session))
    section.rows.push_back(
        f32_row(session, "training", s, session.threads, operations(session, s, sample_fma_flops)));
  return section;
}

Section measure_bf16(Session& session) {
  Section section{"bf16", "bf16 gemm, packed weights", "GFLOP/s", "bf16 peak", {}, {}};
  const auto everywhere = [](const Row&) { return true; };
  const auto middle_cubes = [](const Row& row) {
    return row.shape.starts_with("512 x 512 x 512 ") || row.shape.starts_with("1024 x 1024 x 1024 ");
  };
  section.requirements = {{Measure::ratio, everywhere, 1.4, 1.1, ""},
                          {Measure::rate, middle_cubes, 3.4e12, 3.4e12, has_tiles(session) ? "" : "no AMX"}};
  for (const GemmShape& s : cubes(session))
    section.rows.push_back(bf16_row(session, "cube", s, operations(session, s, sample_dot_bf16_flops)));
  for (const GemmShape& s : training(session)) {
    if (s.layout == Layout::tn) continue;  // the gradient of weights has none for a factor
    section.rows.push_back(bf16_row(session, "training", s, operations(session, s, sample_dot_bf16_flops)));
  }
  return section;
}

Section measure_int8(Session& session) {
  Section section{"int8", "int8 gemm, packed weights", "GOP/s", "int8 peak", {}, {}};
  const auto everywhere = [](const Row&) { return true; };
  const bool vnni = session.table.gemm_s8->b_plus_128;
  section.requirements = {{Measure::ratio, everywhere, 1.2, 0.95, ""},
                          {Measure::share, everywhere, 0.70, 0.0, vnni ? "" : "no VNNI with this ISA"}};
  for (const GemmShape& s : cubes(session))
    section.rows.push_back(int8_row(session, "cube", s, operations(session, s, sample_dot_s8_ops)));
  for (const GemmShape& s : training(session)) {
    if (s.layout != Layout::nn) continue;  // int8 does not train
    section.rows.push_back(int8_row(session, "forward", s, operations(session, s, sample_dot_s8_ops)));
  }
  return section;
}

Section measure_one_row(Session& session) {
  Section section{"m1", "M = 1 and 8, weights in memory", "GB/s", "read bandwidth", {}, {}};
  section.requirements = {{Measure::share, in_set("memory"), 0.90, 0.90, ""}};
  for (const std::size_t bytes :
       session.quick ? std::vector<std::size_t>{64 << 20} : std::vector<std::size_t>{64 << 20, 1 << 30}) {
    const auto read = [&session, bytes](double seconds) {
      return sample_read_bytes(session.table, session.threads,
                               bytes / static_cast<std::size_t>(session.threads), seconds);
    };
    const Yardstick yardstick = {static_cast<double>(bytes),
                                 [&session, read] { return sample(session, read); }};
    for (const Index m : {1, 8}) {
      const std::string set = m == 1 && bytes >= 1 << 30 ? "memory" : "reported";
      const auto shape = [&](std::size_t element, const char* type) {
        GemmShape s = few_rows_shape(m, bytes, element);
        s.what = fmt::format("{} {}", type, s.what);
        return s;
      };
      section.rows.push_back(
          f32_row(session, set, shape(4, "f32"), session.threads, yardstick, Weights::packed));
      section.rows.push_back(bf16_row(session, set, shape(2, "bf16"), yardstick));
      section.rows.push_back(int8_row(session, set, shape(1, "int8"), yardstick));
    }
  }
  return section;
}

Section measure_small(Session& session) {
  Section section{"small", "64 x 64 x 64, one thread", "GFLOP/s", "FMA peak", {}, {}};
  section.requirements = {{Measure::ratio, in_set("small"), 1.0, 1.0, ""}};
  const GemmShape shape = {"f32", 64, 64, 64};
  Row row = f32_row(session, "small", shape, 1, {shape.flops(), [&session] {
                                                   return sample(session, [&](double seconds) {
                                                     return sample_fma_flops(session.table, 1, seconds);
                                                   });
                                                 }});
  for (Rates& theirs : row.result.rates) theirs.counted = theirs.name == "loglog" || theirs.name == "oneDNN";
  section.rows.push_back(std::move(row));
  return section;
}

}  // namespace loglog::bench
