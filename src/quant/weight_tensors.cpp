#include "quant/weight_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::quant {
namespace {

using io::Dtype;
using kernels::GroupedColumns;
using kernels::QuantizedColumns;

WeightForm form_of(Role role, const Plan& plan) {
  if (role == Role::other) return WeightForm::float32;
  if (role == Role::table) {
    constexpr WeightForm kForms[] = {WeightForm::float32, WeightForm::bf16, WeightForm::int8};
    return kForms[static_cast<int>(plan.table)];
  }
  if (plan.scheme.method == Method::weight_only) return WeightForm::groups;
  return plan.scheme.method == Method::bf16 ? WeightForm::bf16 : WeightForm::int8;
}

// A tensor of a quantised weight, and the vector of `w` that it is.
struct Part {
  std::string name;
  std::vector<std::uint64_t> shape;
  Dtype dtype;
  std::function<std::span<std::byte>(QuantizedWeight& w)> bytes;
};

template <class Get>
std::function<std::span<std::byte>(QuantizedWeight&)> bytes_of(Get get) {
  return [get](QuantizedWeight& w) { return std::as_writable_bytes(std::span(get(w))); };
}

QuantizedColumns& columns(QuantizedWeight& w) {
  return std::get<QuantizedColumns>(w);
}
GroupedColumns& groups(QuantizedWeight& w) {
  return std::get<GroupedColumns>(w);
}

Index groups_in(const WeightTensors& w) {
  return kernels::ceil_div(w.inputs(), w.group);
}
Index bytes_of_column(const WeightTensors& w) {
  return w.bits == 4 ? kernels::ceil_div(w.inputs(), 2) : w.inputs();
}

std::vector<Part> parts_of_groups(const WeightTensors& w) {
  const auto n = static_cast<std::uint64_t>(w.outputs()), g = static_cast<std::uint64_t>(groups_in(w));
  return {{fmt::format("{}.q{}", w.name, w.bits),
           {n, static_cast<std::uint64_t>(bytes_of_column(w))},
           Dtype::u8,
           bytes_of([](QuantizedWeight & q) -> auto& { return groups(q).q; })},
          {w.name + ".scale", {n, g}, Dtype::f32, bytes_of([](QuantizedWeight & q) -> auto& {
             return groups(q).scale;
           })},
          {w.name + ".zero", {n, g}, Dtype::u8, bytes_of([](QuantizedWeight & q) -> auto& {
             return groups(q).zero;
           })}};
}

// In the order of the file.
std::vector<Part> parts_of(const WeightTensors& w) {
  const auto rows = static_cast<std::uint64_t>(w.rows), cols = static_cast<std::uint64_t>(w.cols);
  const auto n = static_cast<std::uint64_t>(w.outputs()), k = static_cast<std::uint64_t>(w.inputs());
  const auto kept = static_cast<std::uint64_t>(w.float_rows);
  switch (w.form) {
    case WeightForm::float32:
      return {{w.name, {rows, cols}, Dtype::f32, {}}};
    case WeightForm::bf16:
      return {{w.name, {rows, cols}, Dtype::bf16, bytes_of([](QuantizedWeight & q) -> auto& {
                 return std::get<Bf16Values>(q).values;
               })}};
    case WeightForm::groups:
      return parts_of_groups(w);
    case WeightForm::int8:
      break;
  }
  std::vector<Part> parts = {{w.name + ".int8", {n, k}, Dtype::i8, bytes_of([](QuantizedWeight & q) -> auto& {
                                return columns(q).q;
                              })},
                             {w.name + ".scale", {n}, Dtype::f32, bytes_of([](QuantizedWeight & q) -> auto& {
                                return columns(q).scale;
                              })}};
  if (w.has_zeros)
    parts.push_back({w.name + ".zero", {n}, Dtype::i32, bytes_of([](QuantizedWeight & q) -> auto& {
                       return columns(q).zero;
                     })});
  if (kept == 0) return parts;
  parts.push_back({w.name + ".float_rows", {kept}, Dtype::i64, bytes_of([](QuantizedWeight & q) -> auto& {
                     return columns(q).float_rows;
                   })});
  parts.push_back({w.name + ".float_values", {kept, n}, Dtype::f32, bytes_of([
                   ](QuantizedWeight & q) -> auto& { return columns(q).float_values; })});
  return parts;
}

// With room for everything, zeros still.
QuantizedWeight empty_weight(const WeightTensors& w, const Plan& plan) {
  if (w.form == WeightForm::bf16)
    return Bf16Values{w.rows, w.cols, std::vector<kernels::bf16>(static_cast<std::size_t>(w.rows * w.cols))};
  if (w.form == WeightForm::groups) {
    GroupedColumns g{w.inputs(), w.outputs(), w.bits, w.group, {}, {}, {}};
    g.q.resize(static_cast<std::size_t>(w.outputs() * bytes_of_column(w)));
    g.scale.resize(static_cast<std::size_t>(w.outputs() * groups_in(w)));
    g.zero.resize(g.scale.size());
    return g;
  }
  QuantizedColumns c;
  c.rows = w.inputs(), c.cols = w.outputs();
  c.scheme = plan.scheme.weights;
  c.q.resize(static_cast<std::size_t>(c.rows * c.cols));
  c.scale.resize(static_cast<std::size_t>(c.cols));
  c.zero.resize(c.scale.size());
  c.float_rows.resize(static_cast<std::size_t>(w.float_rows));
  c.float_values.resize(c.float_rows.size() * c.scale.size());
  return c;
}

class Refuse {
 public:
  Refuse(const io::SafetensorsFile& file, const WeightTensors& weight) : file_(file), weight_(weight) {}
  [[noreturn]] void operator()(std::string_view part, std::size_t index, std::string_view what) const {
    throw InputError(
        fmt::format("'{}': tensor '{}.{}' {} at {}", file_.path().native(), weight_.name, part, what, index));
  }

 private:
  const io::SafetensorsFile& file_;
  const WeightTensors& weight_;
};

void check(const GroupedColumns& c, const Refuse& refuse) {
  for (std::size_t i = 0; i < c.scale.size(); ++i) {
    if (!std::isfinite(c.scale[i]) || c.scale[i] < 0) refuse("scale", i, fmt::format("is {}", c.scale[i]));
    if (c.zero[i] >= 1 << c.bits) refuse("zero", i, fmt::format("is {}, above {} bits,", c.zero[i], c.bits));
  }
}

// What products rely on: without it, sums could overflow and rows be outside.
void check(const QuantizedColumns& c, const Refuse& refuse) {
  for (std::size_t j = 0; j < c.scale.size(); ++j) {
    if (!std::isfinite(c.scale[j]) || c.scale[j] < 0) refuse("scale", j, fmt::format("is {}", c.scale[j]));
    if (c.zero[j] < -128 || c.zero[j] > 127) refuse("zero", j, fmt::format("is {}, no int8,", c.zero[j]));
  }
  for (std::size_t i = 0; i < c.float_rows.size(); ++i) {
    if (c.float_rows[i] < (i == 0 ? 0 : c.float_rows[i - 1] + 1) || c.float_rows[i] >= c.rows)
      refuse("float_rows", i,
             fmt::format("is {}, not ascending or not an input of {}", c.float_rows[i], c.rows));
  }
  const auto bad = std::ranges::find_if(c.float_values, [](float x) { return !std::isfinite(x); });
  if (bad != c.float_values.end())
    refuse("float_values", static_cast<std::size_t>(bad - c.float_values.begin()), "is not finite");
}

}  // namespace

WeightTensors::WeightTensors(const model::ParameterShape& p, const Plan& plan, Index float_rows_of_it)
    : name(p.name), rows(p.rows), cols(p.cols), role(role_of(p.name)), form(form_of(role, plan)) {
  has_zeros = form == WeightForm::int8 && plan.scheme.weights.range == kernels::Int8Range::zeropoint;
  if (form == WeightForm::int8) float_rows = float_rows_of_it;
  if (form == WeightForm::groups) bits = plan.scheme.bits, group = group_of(plan.scheme, rows);
}

Index float_rows_in(const io::SafetensorsFile& file, const std::string& parameter) {
  const io::TensorEntry* entry = file.find(parameter + ".float_rows");
  return entry == nullptr ? 0 : static_cast<Index>(entry->elements());
}

void list_tensors(std::vector<io::TensorShape>& list, const WeightTensors& weight) {
  for (Part& part : parts_of(weight)) list.push_back({std::move(part.name), std::move(part.shape)});
}

void add_tensors(std::vector<io::TensorValues>& list, const WeightTensors& weight,
                 std::function<QuantizedWeight()> make) {
  LOGLOG_CHECK(weight.form != WeightForm::float32, "{} is float32", weight.name);
  const auto made = std::make_shared<std::optional<QuantizedWeight>>();
  std::vector<Part> parts = parts_of(weight);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    const auto write = [made, make, is_last, bytes = parts[i].bytes](std::span<std::byte> out) {
      if (!*made) *made = make();
      const std::span<const std::byte> from = bytes(**made);
      LOGLOG_CHECK(from.size() == out.size(), "{} bytes where {} were announced", from.size(), out.size());
      std::ranges::copy(from, out.begin());
      if (is_last) made->reset();
    };
    io::TensorValues values;
    values.name = std::move(parts[i].name), values.shape = std::move(parts[i].shape);
    values.dtype = parts[i].dtype, values.make = write;
    list.push_back(std::move(values));
  }
}

const io::TensorEntry& entry_of_type(const io::SafetensorsFile& file, const std::string& name, Dtype dtype) {
  const io::TensorEntry* entry = file.find(name);
  LOGLOG_CHECK(entry != nullptr, "{} was not looked for", name);
  if (entry->dtype != dtype) {
    throw InputError(
        fmt::format("'{}': tensor '{}' is of type {}", file.path().native(), name, entry->dtype_name));
  }
  return *entry;
}

QuantizedWeight read_tensors(const io::SafetensorsFile& file, const WeightTensors& weight, const Plan& plan) {
  if (weight.form == WeightForm::int8)
    require_int8_depth(weight.inputs(),
                       fmt::format("'{}': tensor '{}.int8'", file.path().native(), weight.name));
  QuantizedWeight w = empty_weight(weight, plan);
  for (const Part& part : parts_of(weight)) {
    file.read_bytes(entry_of_type(file, part.name, part.dtype), part.bytes(w));
  }
  if (weight.form == WeightForm::int8) check(columns(w), Refuse(file, weight));
  if (weight.form == WeightForm::groups) check(groups(w), Refuse(file, weight));
  return w;
}

}  // namespace loglog::quant
