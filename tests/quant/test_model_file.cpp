// Quantised models on disk: what is written is what runs, and whatever is damaged, or made to harm, is refused by name.
#include "quant/model_file.hpp"

#include <malloc.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/check.hpp"
#include "base/error.hpp"
#include "quantized_folder.hpp"

using namespace loglog;
using namespace loglog::quant;
using namespace loglog::testing;
using Catch::Contains;

namespace {

// Bytes that are allocated now, and the most since the last reset.
std::size_t live_bytes = 0, most_bytes = 0;

}  // namespace

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOGLOG_SANITIZER_HAS_OPERATOR_NEW
#endif
#endif
#if !defined(LOGLOG_SANITIZER_HAS_OPERATOR_NEW)
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  live_bytes += ::malloc_usable_size(p);
  most_bytes = std::max(most_bytes, live_bytes);
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  live_bytes -= ::malloc_usable_size(p);
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  ::operator delete(p);
}
#endif

namespace {

const kernels::KernelTable& table() {
  return kernels::select_table("auto");
}

Plan plan_of(std::string_view name, TableForm form = TableForm::f32) {
  return {find_scheme(name), form};
}

std::vector<float> losses_of(const QuantizedWeights& weights, const OpenedSmallModel& model) {
  QuantizedSmallModel small(weights, model.config(), 3, table());
  return small.losses(3, model.small.tokens, model.small.targets);
}

bool same(const Scheme& a, const Scheme& b) {
  return a.name == b.name && a.title == b.title && a.method == b.method && a.inputs.range == b.inputs.range &&
         a.inputs.scope == b.inputs.scope && a.weights.range == b.weights.range &&
         a.weights.scope == b.weights.scope && a.threshold == b.threshold &&
         a.whole_columns == b.whole_columns && a.migration == b.migration && a.bits == b.bits &&
         a.group == b.group;
}

// A folder of a model in LLM.int8() with float rows, and a table in int8.
struct Written {
  static constexpr double kShare = 0.1;
  QuantizedFolder folder;
  OpenedSmallModel model;

  explicit Written(std::string_view scheme = "llm-int8-zeropoint", TableForm form = TableForm::int8)
      : model(quantized_variant(0)) {
    model.opened.tokenizer = R"({"kind":"bytes"})";
    const Calibration inputs = calibrated(model);
    folder.write(model.opened, WeightsOfModel(model.opened, plan_of(scheme, form), {&inputs, kShare}),
                 CalibrationRecord{"0123", 18, kShare});
    folder.use();
  }
};

constexpr const char* kWeight = "blocks.0.attention.qkv.weight";

}  // namespace

TEST_CASE("what was written runs with the bits of what it was written from") {
  for (int variant = 0; variant < kVariants; ++variant) {
    OpenedSmallModel model(quantized_variant(variant));
    const Calibration inputs = calibrated(model);
    const QuantizedFolder folder;
    for (const Scheme& scheme : schemes()) {
      for (const TableForm form : {TableForm::f32, TableForm::bf16, TableForm::int8}) {
        if (!takes_table(scheme, form) || (variant > 0 && form != TableForm::bf16)) continue;
        CAPTURE(variant, scheme.name, static_cast<int>(form));
        const WeightsOfModel weights(model.opened, {scheme, form}, {&inputs, 0.5});
        folder.write(model.opened, weights);
        const QuantizedModel back = open_quantized_model(folder.path());
        REQUIRE(same(back.weights->plan().scheme, scheme));
        REQUIRE(back.weights->plan().table == form);
        REQUIRE(back.model.config == model.opened.config);
        REQUIRE(back.model.codec.empty());
        REQUIRE_FALSE(back.calibration);
        for (const model::ParameterShape& p : model::parameter_shapes(model.config()))
          REQUIRE(back.weights->float_rows(p.name) == weights.float_rows(p.name));
        REQUIRE(compare_equal(losses_of(*back.weights, model), losses_of(weights, model)));
      }
    }
  }
}

TEST_CASE("numbers that options changed, the tokenizer and the calibration come back") {
  OpenedSmallModel model(quantized_variant(0));
  model.opened.tokenizer = R"({"kind":"bytes"})";
  const Calibration inputs = calibrated(model);
  const QuantizedFolder folder;
  Plan llm = plan_of("llm-int8"), smooth = plan_of("smoothquant"), groups = plan_of("weight-int4");
  llm.scheme.threshold = 3.4f, smooth.scheme.migration = 0.7, groups.scheme.group = 16;
  for (const Plan& plan : {llm, smooth, groups}) {
    INFO(plan.scheme.name);
    folder.write(model.opened, WeightsOfModel(model.opened, plan, {&inputs, 0.25}),
                 CalibrationRecord{"00ff", 123456, 0.25});
    const QuantizedModel back = open_quantized_model(folder.path());
    CHECK(same(back.weights->plan().scheme, plan.scheme));
    REQUIRE(back.calibration);
    CHECK(back.calibration->data == "00ff");
    CHECK(back.calibration->tokens == 123456);
    CHECK(back.calibration->share == 0.25);
    CHECK(back.model.codec == folder.file("codec.json"));
    CHECK_THAT(back.model.tokenizer, Contains(R"({"kind":"bytes"})"));
    CHECK(back.model.tensors == folder.file("quantized.safetensors"));
  }
  CHECK(is_quantized_folder(folder.path()));
  CHECK_FALSE(is_quantized_folder(folder.parent()));
  CHECK_FALSE(is_quantized_folder(folder.parent() / "absent"));
}

TEST_CASE("files have the tensors that docs/formats.md names") {
  Written written;
  std::map<std::string, std::pair<std::string, io::Dtype>> found;
  const io::SafetensorsFile file(written.folder.file("quantized.safetensors"));
  for (const io::TensorEntry& t : file.tensors()) found[t.name] = {t.shape_text(), t.dtype};
  const auto expect = [&](const std::string& name, const std::string& shape, io::Dtype dtype) {
    INFO(name);
    REQUIRE(found.contains(name));
    CHECK(found[name].first == shape);
    CHECK(found[name].second == dtype);
  };
  const std::string w = kWeight;
  expect(w + ".int8", "[96,32]", io::Dtype::i8);
  expect(w + ".scale", "[96]", io::Dtype::f32);
  expect(w + ".zero", "[96]", io::Dtype::i32);
  const std::size_t rows = calibrated(written.model).outliers(w, Written::kShare).size();
  REQUIRE(rows >= 2);  // the large gains
  expect(w + ".float_rows", fmt::format("[{}]", rows), io::Dtype::i64);
  expect(w + ".float_values", fmt::format("[{},96]", rows), io::Dtype::f32);
  expect("embedding.token.int8", "[17,32]", io::Dtype::i8);
  expect("embedding.position", "[6,32]", io::Dtype::f32);
  expect("blocks.1.mlp.norm.gain", "[1,32]", io::Dtype::f32);
  CHECK_FALSE(found.contains(w));
  const Written rounded("bf16", TableForm::f32);
  CHECK(io::SafetensorsFile(rounded.folder.file("quantized.safetensors")).find(w)->dtype == io::Dtype::bf16);
}

TEST_CASE("a byte that is changed or missing anywhere is noticed") {
  const Written written;
  for (const auto& [name, step] : {std::pair<const char*, std::size_t>{"quantized.safetensors", 61},
                                   {"quantization.json", 1},
                                   {"config.toml", 3},
                                   {"codec.json", 1}}) {
    INFO(name);
    const Path path = written.folder.file(name);
    const std::string good = read_text(path);
    for (std::size_t at = 0; at < good.size(); at += step) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1);
      write_bytes(path, bad);
      CAPTURE(at);
      REQUIRE_THROWS_AS(written.folder.use(), InputError);
      write_bytes(path, good.substr(0, at));
      // Behind the manifest's last brace there is nothing to lose.
      if (name == std::string("quantization.json") && at + 1 == good.size()) continue;
      REQUIRE_THROWS_AS(written.folder.use(), InputError);
    }
    std::filesystem::remove(path);
    CHECK_THROWS_AS(written.folder.use(), InputError);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);  // is not waited for
    CHECK_THROWS_AS(written.folder.use(), InputError);
    std::filesystem::remove(path);
    write_bytes(path, good);
    CHECK_NOTHROW(written.folder.use());
  }
  write_bytes(written.folder.file("quantized.safetensors"), "x");
  CHECK_THROWS_WITH(written.folder.use(), Contains("quantized.safetensors'") && Contains("checksum"));
}

TEST_CASE("tensors that do not fit together are refused by name, although the checksum is right") {
  const Written written;
  const std::vector<FileTensor> good = written.folder.tensors();
  const auto refused = [&](const std::string& tensor, const char* says, auto change) {
    INFO(tensor << ": " << says);
    std::vector<FileTensor> bad = good;
    const auto at = std::ranges::find(bad, tensor, &FileTensor::name);
    REQUIRE(at != bad.end());
    change(bad, *at);
    written.folder.write_tensors(bad);
    CHECK_THROWS_AS(written.folder.use(), InputError);
    CHECK_THROWS_WITH(written.folder.use(),
                      Contains("quantized.safetensors'") && Contains(tensor) && Contains(says));
  };
  written.folder.write_tensors(good);
  CHECK_NOTHROW(written.folder.use());

  const std::string w = kWeight;
  const auto erase = [](auto& all, FileTensor& t) {
    std::erase_if(all, [name = t.name](const FileTensor& x) { return x.name == name; });
  };
  for (const char* part : {"int8", "scale", "zero", "float_rows", "float_values"})
    refused(w + "." + part, "the model has", [](auto&, FileTensor& t) { t.shape.push_back(1); });
  for (const std::string& name : {w + ".int8", w + ".scale", w + ".zero", w + ".float_values",
                                  std::string("embedding.position"), std::string("head.norm.gain")})
    refused(name, "is missing", erase);
  std::vector<FileTensor> without = good;  // whose values are left over then
  erase(without, *std::ranges::find(without, w + ".float_rows", &FileTensor::name));
  written.folder.write_tensors(without);
  CHECK_THROWS_WITH(written.folder.use(), Contains(w + ".float_values' is none of this model"));
  refused("head.norm.gain", "none of this model", [](auto& all, FileTensor& t) {
    FileTensor other = t;
    other.name += ".head.norm.gain";
    all.push_back(other);
  });
  const auto as = [](io::Dtype dtype) {
    return [dtype](auto&, FileTensor& t) {
      t.dtype = dtype;
      std::size_t elements = 1;
      for (const std::uint64_t n : t.shape) elements *= n;
      t.bytes.resize(elements * io::bytes_of(dtype));
    };
  };
  refused(w + ".int8", "is of type U8", as(io::Dtype::u8));
  refused(w + ".scale", "is of type BF16", as(io::Dtype::bf16));
  refused(w + ".zero", "is of type I64", as(io::Dtype::i64));
  refused(w + ".float_rows", "is of type I32", as(io::Dtype::i32));
  refused(w + ".float_values", "is of type F16", as(io::Dtype::f16));
  refused("head.norm.bias", "is of type I8", as(io::Dtype::i8));

  const auto value = [](std::size_t i, auto x) { return [i, x](auto&, FileTensor& t) { t.set(i, x); }; };
  const float infinity = std::numeric_limits<float>::infinity();
  refused(w + ".scale", "is -1 at 95", value(95, -1.0f));
  refused(w + ".scale", "is nan at 0", value(0, std::numeric_limits<float>::quiet_NaN()));
  refused(w + ".scale", "is inf at 3", value(3, infinity));
  refused(w + ".zero", "is 128, no int8, at 7", value(7, std::int32_t{128}));
  refused(w + ".zero", "is -129, no int8, at 0", value(0, std::int32_t{-129}));
  refused(w + ".float_values", "is not finite at 95", value(95, -infinity));
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t bad : {std::int64_t{-1}, -kMost - 1, std::int64_t{32}, kMost}) {
    refused(w + ".float_rows", "not ascending or not an input of 32 at 0", value(0, bad));
    refused(w + ".float_rows", "not ascending or not an input of 32 at 1", value(1, bad));
  }
  refused(w + ".float_rows", "at 1", [](auto&, FileTensor& t) { t.set(1, t.get<std::int64_t>(0)); });
  refused(w + ".float_rows", "at 1", [](auto&, FileTensor& t) {
    const auto first = t.get<std::int64_t>(0);
    t.set(0, t.get<std::int64_t>(1)), t.set(1, first);
  });
  refused("embedding.token.scale", "is -1 at 2", value(2, -1.0f));

  const Written in_groups("weight-int4", TableForm::f32);
  const auto refused_in_groups = [&](const std::string& name, std::string_view says, const auto& change) {
    std::vector<FileTensor> tensors = in_groups.folder.tensors();
    change(tensors, *std::ranges::find(tensors, name, &FileTensor::name));
    in_groups.folder.write_tensors(tensors);
    CHECK_THROWS_WITH(in_groups.folder.use(), Contains(name) && Contains(std::string(says)));
  };
  refused_in_groups(w + ".zero", "is 16, above 4 bits, at 1", value(1, std::uint8_t{16}));
  refused_in_groups(w + ".scale", "is inf at 0", value(0, infinity));

  const Written rounded("bf16", TableForm::bf16);
  std::vector<FileTensor> wide = rounded.folder.tensors();
  as(io::Dtype::f32)(wide, *std::ranges::find(wide, w, &FileTensor::name));
  rounded.folder.write_tensors(wide);
  CHECK_THROWS_WITH(rounded.folder.use(), Contains(w) && Contains("is of type F32"));
}

TEST_CASE("a weight with more inputs than int8 sums hold is refused before it is multiplied") {
  model::ModelConfig m = quantized_variant(0);
  m.layers = 1, m.mlp_width = kernels::kInt8MaxDepth + 1;
  OpenedSmallModel model(m);
  const QuantizedFolder folder;
  folder.write(model.opened, WeightsOfModel(model.opened, plan_of("bf16"), {}));
  std::vector<FileTensor> all;
  for (const FileTensor& t : folder.tensors()) {
    if (t.dtype != io::Dtype::bf16) {
      all.push_back(t);
      continue;
    }
    const std::uint64_t k = t.shape[0], n = t.shape[1];
    all.push_back({t.name + ".int8", {n, k}, io::Dtype::i8, std::vector<std::byte>(n * k)});
    all.push_back({t.name + ".scale", {n}, io::Dtype::f32, std::vector<std::byte>(4 * n)});
  }
  Json manifest = folder.manifest();
  manifest["scheme"] =
      Json::parse(R"({"name":"absmax-row","method":"int8","inputs":{"range":"absmax","scope":"vector"},
      "weights":{"range":"absmax","scope":"tensor"},"whole_columns":false,"migration":0})");
  folder.write_manifest(manifest);
  folder.write_tensors(all);
  CHECK_THROWS_AS(folder.use(), InputError);
  CHECK_THROWS_WITH(folder.use(), Contains("blocks.0.mlp.down.weight") && Contains("33026 inputs"));
}

TEST_CASE("a manifest that says what no scheme is, is refused by key") {
  const Written written;
  const Json good = written.folder.manifest();
  const auto refused = [&](const std::string& text, const char* says) {
    INFO(text.substr(0, 2000));
    write_bytes(written.folder.file("quantization.json"), text);
    CHECK_THROWS_AS(written.folder.use(), InputError);
    CHECK_THROWS_WITH(written.folder.use(), Contains("quantization.json'") && Contains(says));
  };
  const auto with = [&](const char* place, const Json& value) {
    Json json = good;
    json[Json::json_pointer(place)] = value;
    return json.dump(2);
  };
  for (const auto& [place, value] :
       std::vector<std::pair<const char*, Json>>{{"/scheme/method", "int7"},
                                                 {"/scheme/method", 1},
                                                 {"/scheme/name", 1},
                                                 {"/scheme/threshold", -1},
                                                 {"/scheme/threshold", 0},
                                                 {"/scheme/threshold", "6"},
                                                 {"/scheme/threshold", 1e300},
                                                 {"/scheme/inputs/range", "absmin"},
                                                 {"/scheme/inputs/scope", "column"},
                                                 {"/scheme/weights/range", 0},
                                                 {"/scheme/weights/scope", true},
                                                 {"/scheme/whole_columns", "yes"},
                                                 {"/scheme/whole_columns", 0},
                                                 {"/scheme/migration", 1.5},
                                                 {"/scheme/migration", -0.5},
                                                 {"/table", "f16"},
                                                 {"/table", 3},
                                                 {"/checksum", 5},
                                                 {"/calibration/tokens", -1},
                                                 {"/calibration/tokens", 1.5},
                                                 {"/calibration/share", "much"}})
    refused(with(place, value), place + 1);
  refused(with("/version", 99999999999), "of version 99999999999");
  refused(with("/version", 2), "reads 'loglog quantised model' of version 1");
  refused(with("/version", "1"), "version");
  refused(with("/format", "something else"), "'something else'");
  for (const char* key : {"format", "version", "scheme", "table", "checksum"}) {
    Json json = good;
    json.erase(key);
    refused(json.dump(2), key);
  }
  for (const char* key : {"name", "method", "inputs", "weights", "whole_columns", "migration"}) {
    Json json = good;
    json["scheme"].erase(key);
    refused(json.dump(2), key);
  }
  for (const auto& [bits, group, says] : {std::tuple{Json(3), Json(0), "bits"},
                                          {Json(4294967300), Json(0), "bits"},  // 4, were it cut to 32 bits
                                          {Json(8), Json(-1), "group"},
                                          {Json(4), Json(), "group"}}) {
    Json json = good;
    json["scheme"] = {
        {"name", "x"}, {"method", "weight_only"}, {"range", "absmax"}, {"bits", bits}, {"group", group}};
    refused(json.dump(2), says);
  }
  Json pair = good;
  pair["scheme"] = {{"name", "x"}, {"method", "weight_only"}, {"range", "absmax"}, {"bits", 8}, {"group", 0}};
  pair["table"] = "int8";
  refused(pair.dump(2), "--table f32 or bf16");
  std::string text = good.dump(2);
  const std::size_t at = text.find("6.0");
  REQUIRE(at != std::string::npos);
  for (const char* number : {"NaN", "Infinity", "1e999", "-"})
    refused(std::string(text).replace(at, 3, number), "no valid JSON");
  refused(std::string(10'000, '['), "levels");
  std::string deep = "{\"a\":";
  for (int i = 0; i < 10'000; ++i) deep += "{\"a\":";
  refused(deep, "levels");
  for (const char* other : {"", "[]", "null", "1", "{}", "{\"format\":1}"}) refused(other, "");
  // Each of these is a form that a scheme may have: that it is not this file's is told by the checksum.
  for (const auto& [place, value] : std::vector<std::pair<const char*, Json>>{{"/scheme/threshold", 5.5},
                                                                              {"/scheme/threshold", Json()},
                                                                              {"/scheme/name", "llm-int8"},
                                                                              {"/calibration/tokens", 17},
                                                                              {"/more", 1}}) {
    INFO(place);
    write_bytes(written.folder.file("quantization.json"), with(place, value));
    CHECK_THROWS_WITH(written.folder.use(), Contains("checksum"));
  }
}

TEST_CASE("1,000 changed manifests: an InputError, or a model that is in order") {
  const Written written;
  const std::string good = read_text(written.folder.file("quantization.json"));
  int refused = 0;
  for (std::uint64_t round = 0; round < 1000; ++round) {
    write_bytes(written.folder.file("quantization.json"), changed_bytes(good, round));
    try {
      written.folder.use();
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 900);  // some change white space
}

TEST_CASE("a folder whose k-th call fails is there as a whole or not at all, and nothing lies beside it") {
  OpenedSmallModel model(quantized_variant(0));
  model.opened.tokenizer = R"({"kind":"bytes"})";
  const WeightsOfModel weights(model.opened, plan_of("llm-int8", TableForm::bf16), {});
  const QuantizedFolder folder;
  for (int k = 0;; ++k) {
    CAPTURE(k);
    FailingFileSystem fs(k);
    bool failed = false;
    try {
      write_quantized_model(fs, folder.path(), model.opened, weights, table(), {});
    } catch (const IoError&) {
      failed = true;
    }
    REQUIRE(failed == fs.failed());
    const std::vector<std::string> names = list_directory(folder.parent());
    if (path_exists(folder.path())) {
      REQUIRE(names.size() == 1);
      REQUIRE_NOTHROW(folder.use());
    } else {
      REQUIRE(names.empty());
    }
    std::filesystem::remove_all(folder.path());
    if (!failed) {
      CHECK(k > 50);
      break;
    }
  }
}

TEST_CASE("while it is written, one weight is in memory", "[allocator]") {
  model::ModelConfig m{.layers = 12, .width = 64, .heads = 4, .context = 6, .vocab = 17};
  OpenedSmallModel model(m);
  const WeightsOfModel weights(model.opened, plan_of("llm-int8"), {});
  const QuantizedFolder folder;
  live_bytes = most_bytes = 0;
  folder.write(model.opened, weights);
  const std::size_t most = most_bytes;
  // Of the largest weight the values, their columns and both copies of the int8; lists and headers, by the tensor.
  const std::size_t largest = 64 * 256 * (2 * sizeof(float) + 2);
  const std::size_t tensors = 12 * 16 + 10;
  CHECK(most > 64 * 256 * sizeof(float));
  CHECK(most < largest + 2048 * tensors);
  const auto whole = std::filesystem::file_size(folder.file("quantized.safetensors"));
  CHECK(largest + 2048 * tensors < whole);  // else the bound would say nothing
}

TEST_CASE("a parameter that is quantised there, or is none, is not read as float32") {
  const Written written;
  const QuantizedModel opened = open_quantized_model(written.folder.path());
  std::vector<float> values(32 * 96);
  CHECK_THROWS_AS(opened.model.parameters->read(kWeight, values), InputError);
  CHECK_THROWS_WITH(opened.model.parameters->read(kWeight, values),
                    Contains(kWeight) && Contains("is quantised"));
  CHECK_THROWS_WITH(opened.model.parameters->read("nothing", values), Contains("no parameter 'nothing'"));
  CHECK_THROWS_AS(opened.weights->float_rows("nothing"), InputError);
  CHECK_THROWS_AS(opened.model.parameters->read("head.norm.gain", values), ContractError);
}
