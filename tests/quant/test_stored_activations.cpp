#include "quant/activations/stored_activations.hpp"

#include <cstring>

#include "base/error.hpp"
#include "io/safetensors.hpp"
#include "quant/activations/activation_dump.hpp"
#include "quant/activations/channel_sums.hpp"
#include "support/catch.hpp"
#include "support/changed_bytes.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::quant;

namespace {

using Shape = std::vector<std::uint64_t>;

std::vector<float> counting(std::uint64_t count, float first = 0) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = first + static_cast<float>(i);
  return x;
}

struct Files {
  TemporaryFolder folder;
  Path path = folder.path() / "a.safetensors";

  // Tensors that count: the first from 0, the second from 1000, ...
  StoredActivations stored(const std::vector<std::pair<std::string, Shape>>& tensors) const {
    std::vector<std::vector<float>> values;
    for (const auto& [name, shape] : tensors) {
      std::uint64_t count = 1;
      for (const std::uint64_t n : shape) count *= n;
      values.push_back(counting(count, 1000.0f * static_cast<float>(values.size())));
    }
    std::vector<io::TensorValues> all;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      all.push_back({tensors[i].first, tensors[i].second, values[i]});
    io::write_safetensors(real_file_system(), path, all, {});
    return StoredActivations(path);
  }
};

std::string npy(const std::string& shape, const std::vector<float>& values) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string text("\x93NUMPY\x01\0", 8);
  text += static_cast<char>(header.size());
  text += '\0';
  std::string data(values.size() * 4, '\0');
  std::memcpy(data.data(), values.data(), data.size());
  return text + header + data;
}

}  // namespace

TEST_CASE("tensors of a file are layers, in the order of the numbers in their names") {
  const Files f;
  const StoredActivations file = f.stored({{"h.10.out", {5, 3}}, {"h.2.out", {5, 3}}, {"h.1.out", {5, 3}}});
  CHECK(file.tokens() == 5);
  CHECK(file.spots() == std::vector<Spot>{{"given", 0}, {"given", 1}, {"given", 2}});
  CHECK(file.channels("given") == 3);
  ActivationSums sums;
  file.give({&sums}, 2);
  REQUIRE(sums.entries().size() == 3);
  CHECK(sums.find({"given", 2})->rows() == 5);
  CHECK(sums.find({"given", 2})->channels()[1].sum == 1 + 4 + 7 + 10 + 13);  // h.10
  CHECK(sums.find({"given", 1})->channels()[1].sum == 5 * 1000 + 35);
  CHECK(sums.find({"given", 0})->channels()[1].sum == 5 * 2000 + 35);  // h.1
}

TEST_CASE("an array of layers, of safetensors and of numpy") {
  const Files f;
  const StoredActivations tensor = f.stored({{"all", {2, 4, 3}}});
  const Path path = f.folder.path() / "a.npy";
  testing::write_bytes(path, npy("(2, 4, 3)", counting(24)));
  const StoredActivations array(path);
  for (const StoredActivations* file : {&tensor, &array}) {
    ActivationSums sums;
    file->give({&sums}, 1);
    REQUIRE(sums.entries().size() == 2);
    CHECK(sums.find({"given", 0})->channels()[0].sum == 0 + 3 + 6 + 9);
    CHECK(sums.find({"given", 1})->channels()[2].largest == 23);
    CHECK(sums.find({"given", 1})->channels()[2].largest_row == 3);
  }
  testing::write_bytes(path, npy("(4, 3)", counting(12)));
  CHECK(StoredActivations(path).spots() == std::vector<Spot>{{"given", 0}});
}

TEST_CASE("what was dumped comes back as it was") {
  const Files f;
  ActivationDump dump(7);
  const std::vector<float> x = counting(30), y = counting(30, 100);
  for (const Index layer : {0, 1, 10}) {
    dump.add({"qkv", layer}, {x.data(), 5, 6}, 0, 1);
    dump.add({"qkv", layer}, {y.data(), 5, 6}, 5, 1);  // of which two are within the seven
  }
  CHECK(dump.rows() == 7);
  dump.write(real_file_system(), f.path, {{"site", "qkv"}});
  const StoredActivations file(f.path);
  CHECK(file.tokens() == 7);
  CHECK(file.sites() == std::vector<std::string>{"qkv"});
  ActivationSums sums;
  file.give({&sums}, 1);
  CHECK(sums.find({"qkv", 10})->channels()[0].sum == 0 + 6 + 12 + 18 + 24 + 100 + 106);
  CHECK(io::SafetensorsFile(f.path).metadata().at("site") == "qkv");
  CHECK(dump_name({"head", 4}) == "head");
  CHECK(spot_of("blocks.3.mlp_stream", 9) == Spot{"mlp_stream", 3});
  for (const char* name : {"blocks.3", "blocks.x.qkv", "blocks.-1.qkv", "blocks.3.other", "layer", ""})
    CHECK(spot_of(name, 9) == Spot{"given", 9});
}

TEST_CASE("files that are no activations are refused by tensor and reason") {
  const Files f;
  const auto refused = [&](const std::vector<std::pair<std::string, Shape>>& tensors,
                           const std::string& why) {
    CHECK_THROWS_WITH(f.stored(tensors), Catch::Contains(why) && Catch::Contains("a.safetensors"));
    CHECK_THROWS_AS(f.stored(tensors), InputError);
  };
  refused({}, "holds no tensor");
  refused({{"x", {12}}}, "tensor 'x' of shape [12] is neither (tokens, channels)");
  refused({{"x", {1, 2, 3, 4}}}, "neither");
  refused({{"x", {0, 3}}}, "has no numbers");
  refused({{"a", {4, 3}}, {"b", {5, 3}}}, "'b' of shape [5,3] has 5 tokens, 'a' has 4");
  refused({{"a", {4, 3}}, {"b", {4, 2}}}, "has 2 channels, 'a' has 3");
  refused({{"blocks.1.qkv", {4, 3}}, {"blocks.01.qkv", {4, 3}}}, "is the same layer as");
  refused({{"x", {513, 1, 1}}}, "makes more than 512 layers");
  refused({{"x", {512, 1, 1}}, {"y", {1, 1}}}, "makes more than 512 layers");
  const Path path = f.folder.path() / "a.npy";
  testing::write_bytes(path, npy("(12,)", counting(12)));
  CHECK_THROWS_AS(StoredActivations(path), InputError);
  CHECK_THROWS_AS(StoredActivations(f.folder.path() / "missing.safetensors"), InputError);
  // Sites of different widths are fine: who asks for both at once is told.
  CHECK(f.stored({{"blocks.0.qkv", {4, 3}}, {"blocks.0.down", {4, 12}}}).channels("down") == 12);
}

TEST_CASE("changed bytes of a file are an InputError, or activations like any") {
  const Files f;
  f.stored({{"blocks.0.qkv", {2, 3}}, {"other", {1, 2, 3}}});
  const std::vector<std::pair<Path, std::string>> good = {
      {f.path, read_text(f.path)}, {f.folder.path() / "a.npy", npy("(2, 2, 3)", counting(12))}};
  for (const auto& [path, bytes] : good) {
    int refused = 0;
    for (std::uint64_t round = 0; round < 5000; ++round) {
      std::filesystem::remove(path);  // ext4 flushes a file that is truncated and written anew
      testing::write_bytes(path, testing::changed_bytes(bytes, round));
      try {
        const StoredActivations file(path);
        ActivationSums sums;
        file.give({&sums}, 1);
        REQUIRE(sums.entries().size() == file.spots().size());
      } catch (const InputError&) {
        ++refused;
      }
    }
    CHECK(refused > 1000);
    CHECK(refused < 5000);
  }
}
