// safetensors: what is written is what is read; every rule of the format broken once; bytes changed at random.
#include "io/safetensors.hpp"

#include <fmt/format.h>

#include <cstring>

#include "base/check.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/changed_bytes.hpp"
#include "support/failing_allocator.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::io;
using namespace loglog::testing;
using Catch::Contains;

namespace {

class File {
 public:
  Path path() const { return folder_.path() / "x.safetensors"; }
  void write(const std::string& bytes) const { write_bytes(path(), bytes); }
  SafetensorsFile read() const { return SafetensorsFile(path()); }

 private:
  TemporaryFolder folder_;
};

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + rest;
}
// A file with this header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data) {
  return with_length(header.size(), header + std::string(data, '\1'));
}

std::vector<float> read_all(const SafetensorsFile& file, std::string_view name) {
  const TensorEntry* entry = file.find(name);
  REQUIRE(entry != nullptr);
  std::vector<float> values(entry->elements());
  file.read(*entry, values);
  return values;
}

}  // namespace

TEST_CASE("tensors that are written are read, with their metadata") {
  const File file;
  const std::vector<float> a = {1, -2, 3, 0.5f, 1e30f, 7}, b = {4}, none;
  const std::vector<TensorValues> tensors = {
      {"a", {2, 3}, a}, {"empty", {0, 4}, none}, {"b \"\n\u00e9", {1}, b}, {"scalar", {}, b}};
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    write_safetensors(real_file_system(), file.path(), tensors, {{"format", "pt"}, {"k", "v"}}, dtype);
    const SafetensorsFile back = file.read();
    CHECK(back.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"k", "v"}});
    REQUIRE(back.tensors().size() == 4);
    CHECK(back.find("a")->shape_text() == "[2,3]");
    CHECK(back.find("a")->dtype_name == (dtype == Dtype::f32 ? "F32" : "BF16"));
    CHECK(back.find("nothing") == nullptr);
    CHECK(read_all(back, "b \"\n\u00e9") == b);
    CHECK(read_all(back, "scalar") == b);
    CHECK(read_all(back, "empty").empty());
    if (dtype == Dtype::f32) CHECK(read_all(back, "a") == a);
    std::uint64_t length = 0;
    std::memcpy(&length, read_text(file.path()).data(), 8);
    CHECK((8 + length) % 64 == 0);
  }
  write_safetensors(real_file_system(), file.path(), {}, {});
  CHECK(file.read().tensors().empty());
}

TEST_CASE("a part of a tensor is read as it is in the whole, across the pieces in which files are read") {
  const File file;
  std::vector<float> values((std::size_t{3} << 20) + 7);  // 12 MiB in float32
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    write_safetensors(real_file_system(), file.path(),
                      std::vector<TensorValues>{{"a", {values.size()}, values}}, {}, dtype);
    const SafetensorsFile back = file.read();
    const TensorEntry& entry = *back.find("a");
    std::vector<float> whole(values.size());
    back.read(entry, whole);
    CHECK(whole == values);
    for (const std::size_t first : {std::size_t{0}, std::size_t{1} << 20, values.size() - 3}) {
      std::vector<float> part(std::min(values.size() - first, (std::size_t{2} << 20) + 1));
      back.read_part(entry, first, part);
      CHECK(std::equal(part.begin(), part.end(), values.begin() + static_cast<std::ptrdiff_t>(first)));
    }
    std::vector<float> more(4);
    CHECK_THROWS_AS(back.read_part(entry, values.size() - 3, more), ContractError);
    CHECK_THROWS_AS(back.read_part(entry, values.size() + 1, {}), ContractError);
  }
}

TEST_CASE("tensors that are made while they are written are the same file") {
  const File file;
  const std::vector<float> a = {1, -2, 3, 0.5f, 1e30f, 7}, b = {4};
  const auto from = [](const std::vector<float>& values) {
    return [&values](std::span<float> room) { std::ranges::copy(values, room.begin()); };
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const std::vector<TensorValues> there = {{"a", {2, 3}, a}, {"b", {1}, b}};
    write_safetensors(real_file_system(), file.path(), there, {{"k", "v"}}, dtype);
    const std::string expected = read_text(file.path());
    const std::vector<TensorValues> made = {{"a", {2, 3}, {}, from(a)}, {"b", {1}, b}};
    write_safetensors(real_file_system(), file.path(), made, {{"k", "v"}}, dtype);
    CHECK(read_text(file.path()) == expected);
  }
}

TEST_CASE("elements of a type of their own are written among floats, and read as they are") {
  const File file;
  const std::vector<float> a = {1, -2};
  const std::vector<std::int8_t> small = {-128, 0, 127};
  const std::vector<std::uint8_t> unsigned_ones = {0, 200};
  const std::vector<std::int32_t> middle = {-5, 1 << 30};
  const std::vector<std::int64_t> large = {std::int64_t{1} << 60, -1};
  std::vector<std::string> order;
  const auto made = [&order](std::string name, Dtype dtype, const auto& values,
                             std::vector<std::uint64_t> shape) {
    TensorValues t;
    t.name = name, t.shape = std::move(shape), t.dtype = dtype;
    t.make = [&order, &values, name](std::span<std::byte> out) {
      const auto bytes = std::as_bytes(std::span(values));
      REQUIRE(out.size() == bytes.size());
      std::ranges::copy(bytes, out.begin());
      order.push_back(name);
    };
    return t;
  };
  const std::vector<TensorValues> tensors = {
      made("i8", Dtype::i8, small, {3, 1}),      {"a", {2}, a},
      made("u8", Dtype::u8, unsigned_ones, {2}), made("i32", Dtype::i32, middle, {2}),
      made("i64", Dtype::i64, large, {1, 2}),    {"b", {1, 2}, a}};
  // The type of the floats is nobody else's.
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    order.clear();
    write_safetensors(real_file_system(), file.path(), tensors, {}, dtype);
    CHECK(order == std::vector<std::string>{"i8", "u8", "i32", "i64"});
    const SafetensorsFile back = file.read();
    const auto require_bytes = [&](const char* name, Dtype type, const auto& values) {
      INFO(name);
      const TensorEntry& entry = *back.find(name);
      CHECK(entry.dtype == type);
      const auto expected = std::as_bytes(std::span(values));
      std::vector<std::byte> bytes(expected.size());
      back.read_bytes(entry, bytes);
      CHECK(std::ranges::equal(bytes, expected));
      std::vector<std::byte> more(expected.size() + 1);
      CHECK_THROWS_AS(back.read_bytes(entry, more), ContractError);
      std::vector<float> floats(entry.elements());
      CHECK_THROWS_WITH(back.read(entry, floats), Contains("F32, F16 and BF16 are read"));
    };
    require_bytes("i8", Dtype::i8, small);
    require_bytes("u8", Dtype::u8, unsigned_ones);
    require_bytes("i32", Dtype::i32, middle);
    require_bytes("i64", Dtype::i64, large);
    CHECK(back.find("i64")->shape_text() == "[1,2]");
    CHECK(back.find("b")->dtype == dtype);
    CHECK(read_all(back, "b") == a);
    std::vector<std::byte> halves(2 * bytes_of(dtype));
    back.read_bytes(*back.find("a"), halves);
    if (dtype == Dtype::f32) CHECK(std::ranges::equal(halves, std::as_bytes(std::span(a))));
  }
  TensorValues wrong = made("i8", Dtype::other, small, {3});
  CHECK_THROWS_AS(write_safetensors(real_file_system(), file.path(), std::vector{wrong}, {}), ContractError);
}

TEST_CASE("tensors that are wanted are found in the order of the question, or refused by name") {
  const File file;
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {4};
  write_safetensors(real_file_system(), file.path(),
                    std::vector<TensorValues>{{"a", {2, 3}, a}, {"b", {1}, b}, {"c", {1}, b}}, {});
  const SafetensorsFile back = file.read();
  const auto find = [&](const std::vector<TensorShape>& wanted, Others others) {
    return find_tensors(back, wanted, others);
  };
  const auto found = find({{"c", {1}}, {"a", {2, 3}}, {"b", {1}}}, Others::refused);
  REQUIRE(found.size() == 3);
  CHECK(found[0]->name == "c");
  CHECK(found[1]->name == "a");
  CHECK(find({{"b", {1}}}, Others::passed_over).size() == 1);
  CHECK_THROWS_WITH(find({{"b", {1}}, {"c", {1}}}, Others::refused),
                    Contains(file.path().native()) && Contains("tensor 'a' is none of this model"));
  CHECK_THROWS_WITH(find({{"a", {3, 2}}}, Others::passed_over),
                    Contains("tensor 'a' is [2,3], the model has [3,2]"));
  CHECK_THROWS_WITH(find({{"d", {1}}}, Others::passed_over), Contains("tensor 'd' is missing"));
}

TEST_CASE("contracts of the writer and of read()") {
  const File file;
  const std::vector<float> a = {1, 2};
  const auto write = [&](const std::vector<TensorValues>& tensors) {
    write_safetensors(real_file_system(), file.path(), tensors, {});
  };
  CHECK_THROWS_AS(write({{"a", {2}, a}, {"a", {2}, a}}), ContractError);
  CHECK_THROWS_AS(write({{"a", {3}, a}}), ContractError);
  write({{"a", {2}, a}});
  const SafetensorsFile back = file.read();
  std::vector<float> one(1);
  CHECK_THROWS_AS(back.read(*back.find("a"), one), ContractError);
}

TEST_CASE("types: halves are widened, others are listed and not read, unknown ones refused") {
  const File file;
  file.write(file_of(
      R"({"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"m":{"dtype":"BOOL","shape":[3],"data_offsets":[2,5]}})",
      5));
  const SafetensorsFile back = file.read();
  CHECK(read_all(back, "h").size() == 1);
  CHECK(back.find("m")->dtype == Dtype::other);
  std::vector<float> three(3);
  CHECK_THROWS_WITH(back.read(*back.find("m"), three),
                    Contains("tensor 'm' is of type BOOL; F32, F16 and BF16 are read"));
}

TEST_CASE("broken headers, each refused by file, place and what would be right") {
  struct Case {
    std::string bytes;
    const char* says;
  };
  const std::string good = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const auto one = [](const char* fields) { return fmt::format("{{\"a\":{{{}}}}}", fields); };
  const Case cases[] = {
      {"", "the length of the header at byte 0: 8 bytes are expected, the file has 0 more"},
      {"1234567", "the file has 7 more"},
      {with_length(0, ""), "must begin with '{'"},
      {with_length(3, "{}"), "3 bytes are longer than the file, which has 2 more"},
      {with_length(~std::uint64_t{0}, "{}"), "longer than the file"},
      {with_length(std::uint64_t{1} << 63, "{}"), "longer than the file"},
      {file_of(" {}", 0), "must begin with '{'"},
      {file_of("[]", 0), "must begin with '{'"},
      {file_of("{", 0), "no valid JSON at byte"},
      {file_of("{}x", 0), "no valid JSON"},
      {file_of("{" + good + ",}", 8), "no valid JSON"},
      {file_of("{\"a\xff\":1}", 0), "no valid JSON"},
      {file_of("{}", 1), "its tensors end at byte 0 of the data, the file has 1"},
      {file_of("{" + good + "}", 7), "claims bytes 0 to 8 of the 7 that follow the header"},
      {file_of("{" + good + "}", 9), "end at byte 8 of the data, the file has 9"},
      {file_of("{" + good + "," + good + "}", 8), "tensor 'a' is there twice"},
      {file_of("{\"a\":1}", 0), "tensor 'a' is a number"},
      {file_of("{\"a\":null}", 0), "tensor 'a' is null"},
      {file_of("{\"a\":[]}", 0), "tensor 'a' is a list"},
      {file_of("{\"a\":{}}", 0), "tensor 'a' is a tensor that lacks"},
      {file_of(one(R"("dtype":"F32","shape":[2])"), 8), "lacks dtype, shape or data_offsets"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"), 8),
       "field 'x', is no field of a tensor"},
      {file_of(one(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8),
       "field 'dtype', is there twice"},
      {file_of(one(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])"), 8),
       "field 'shape', is there twice"},
      {file_of(one(R"("dtype":7,"shape":[2],"data_offsets":[0,8])"), 8), "field 'dtype', is a number"},
      {file_of(one(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), 8),
       "type 'F31', which the format does not know"},
      {file_of(one(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), 8), "field 'shape', is a number"},
      {file_of(one(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), 8), "field 'shape', is a list"},
      {file_of(one(R"("dtype":"F32","shape":[{}],"data_offsets":[0,8])"), 8), "is an object"},
      {file_of(one(R"("dtype":"F32","shape":["2"],"data_offsets":[0,8])"), 8), "is a text"},
      {file_of(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), 8), "is a number below 0"},
      {file_of(one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), 8), "no whole number below 2^64"},
      {file_of(one(R"("dtype":"F32","shape":[NaN],"data_offsets":[0,8])"), 8), "no valid JSON"},
      {file_of(one(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8])"), 8),
       "no whole number below 2^64"},
      {file_of(one(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8])"), 8),
       "a list of more than 8 numbers"},
      {file_of(one(R"("dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8])"), 8),
       "of more than 2^64 bytes"},
      {file_of(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0),
       "of more than 2^64 bytes"},
      {file_of(
           one(R"("dtype":"F32","shape":[0,18446744073709551615,18446744073709551615],"data_offsets":[0,4])"),
           4),
       "has 4 bytes, but F32 [0,18446744073709551615,18446744073709551615] takes 0"},
      {file_of(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
       "has 8 bytes, but F32 [3] takes 12"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8), "claims bytes 8 to 0"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), 8), "no pair of offsets"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4,8])"), 8),
       "a list of more than 2 numbers"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615])"), 8),
       "claims bytes 0 to 18446744073709551615"},
      {file_of(one(R"("dtype":"F32","shape":[2],"data_offsets":[4,12])"), 12),
       "begins at byte 4 of the data, which leaves a gap"},
      {file_of("{" + good + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12),
       "tensor 'b' begins at byte 4 of the data, which overlaps"},
      {file_of("{" + good + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8), "overlaps"},
      {file_of("{" + good + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16),
       "tensor 'b' begins at byte 12 of the data, which leaves a gap"},
      {file_of(R"({"__metadata__":{"k":1}})", 0), "tensor '__metadata__', field 'k', is a number"},
      {file_of(R"({"__metadata__":{"k":{}}})", 0), "field 'k', is an object"},
      {file_of(R"({"__metadata__":{"k":"v","k":"w"}})", 0), "field 'k', is there twice"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})", 0), "is there twice"},
      {file_of(R"({"__metadata__":"text"})", 0), "tensor '__metadata__' is a text"},
      {file_of("{\"a\":" + std::string(1'000'000, '['), 0), "tensor 'a' is a list"},
      {file_of("{" + std::string(17 << 20, ' ') + "}", 0), "at most 16777216 are read"},
  };
  const File file;
  for (const Case& c : cases) {
    file.write(c.bytes);
    INFO(c.bytes.substr(0, 200));
    CHECK_THROWS_WITH(file.read(), Contains(file.path().native()) && Contains(c.says));
    CHECK_THROWS_AS(file.read(), InputError);
  }
}

TEST_CASE("files that are none") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(SafetensorsFile(folder.path() / "absent"), InputError);
  CHECK_THROWS_AS(SafetensorsFile(folder.path()), InputError);
}

TEST_CASE("a file that shrinks after it was opened") {
  const File file;
  const std::vector<float> a(4096, 1.0f);
  write_safetensors(real_file_system(), file.path(), std::vector<TensorValues>{{"a", {4096}, a}}, {});
  const SafetensorsFile back = file.read();
  std::filesystem::resize_file(file.path(), 100);
  std::vector<float> values(4096);
  CHECK_THROWS_AS(back.read(*back.find("a"), values), InputError);
}

TEST_CASE("every prefix of a file is refused") {
  const File file;
  const std::vector<float> a = {1, 2, 3};
  write_safetensors(real_file_system(), file.path(), std::vector<TensorValues>{{"a", {3}, a}}, {{"k", "v"}});
  const std::string good = read_text(file.path());
  for (std::size_t length = 0; length < good.size(); ++length) {
    file.write(good.substr(0, length));
    REQUIRE_THROWS_AS(file.read(), InputError);
  }
}

// Whatever is read after all must have kept the rules: every tensor can be read in full.
TEST_CASE("10,000 changed files: an InputError, or a file that is in order") {
  const File file;
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {7};
  const std::vector<TensorValues> tensors = {{"first", {2, 3}, a}, {"second", {1}, b}};
  write_safetensors(real_file_system(), file.path(), tensors, {{"format", "pt"}});
  const std::string good = read_text(file.path());
  int refused = 0;
  for (std::uint64_t round = 0; round < 10'000; ++round) {
    const std::string bytes = changed_bytes(good, round);
    file.write(bytes);
    try {
      const SafetensorsFile back = file.read();
      std::uint64_t elements = 0;
      for (const TensorEntry& entry : back.tensors()) {
        if (entry.dtype == Dtype::other) continue;
        std::vector<float> values(entry.elements());
        back.read(entry, values);
        elements += values.size();
      }
      REQUIRE(elements <= bytes.size());
    } catch (const InputError& error) {
      REQUIRE(std::string(error.what()).find(file.path().native()) != std::string::npos);
      ++refused;
    }
  }
  CHECK(refused > 5000);
  CHECK(refused < 10'000);
}

TEST_CASE("F7: whichever allocation fails while reading, the error is clean", "[allocator]") {
  const File file;
  const std::vector<float> a = {1, 2, 3};
  write_safetensors(real_file_system(), file.path(), std::vector<TensorValues>{{"a", {3}, a}}, {{"k", "v"}});
  std::vector<float> values(3);
  const int failures = fail_each_allocation([&] {
    const SafetensorsFile back = file.read();
    back.read(*back.find("a"), values);
  });
  CHECK(failures > 5);
  CHECK(values == a);
}
