// Planted models on disk: the record comes back as it was written; one that is damaged, missing or of another model is refused by file.
#include "quant/planted_model.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "io/safetensors.hpp"
#include "model/open_model.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using quant::Index;

namespace {

model::RunConfig small_config() {
  model::RunConfig config;
  config.model = {.layers = 2, .width = 8, .heads = 2, .context = 5, .vocab = 7};
  resolve(config, 7);
  return config;
}

// A planted model in a folder, and what it was before.
struct Place {
  TemporaryFolder folder;
  Path path = folder.path() / "planted";
  model::RunConfig config = small_config();
  model::Gpt gpt{config.model, {1, 1}};
  std::vector<float> before;
  quant::Planted planted;

  explicit Place(bool one_signed) {
    for (std::size_t k = 0; k < gpt.parameters().size(); ++k) {
      const tensor::Parameter& p = gpt.parameters()[k].tensor;
      for (Index i = 0; i < p.size(); ++i)
        p.value[i] = static_cast<float>(Rng(3, k).normal(static_cast<std::uint64_t>(i)));
    }
    before = values();
    planted = quant::plant(gpt, {32, one_signed, {1, 6}, {0, 1}});
    quant::write_planted_model(real_file_system(), path, config, gpt, R"({"kind":"bytes"})", planted);
  }
  std::vector<float> values() const { return {gpt.values().begin(), gpt.values().end()}; }
  void load() { load_parameters(model::open_model(path), gpt); }
  void write(const char* name, std::string_view text) const {
    write_atomically(real_file_system(), path / name, text);
  }
  // The record with one piece of its text changed.
  void change(std::string_view from, std::string_view to) const {
    std::string text = read_text(path / quant::kPlantedFile);
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write(quant::kPlantedFile, text.replace(at, from.size(), to));
  }
  void refuses(std::string_view says) {
    INFO(says);
    load();
    CHECK_THROWS_AS(quant::undo_planted(path, gpt), InputError);
    CHECK_THROWS_WITH(quant::undo_planted(path, gpt), Contains(path.string()) && Contains(std::string(says)));
  }
};

}  // namespace

TEST_CASE("a planted model opens as any other, and its record takes it back") {
  const bool one_signed = GENERATE(false, true);
  Place place(one_signed);
  std::vector<std::string> files = list_directory(place.path);
  std::ranges::sort(files);
  std::vector<std::string> expected = {"codec.json", "config.toml", "model.safetensors", "planted.json"};
  if (one_signed) expected.push_back("planted.safetensors");
  CHECK(files == expected);
  CHECK(list_directory(place.folder.path()).size() == 1);
  const std::vector<float> planted = place.values();
  std::ranges::fill(place.gpt.values(), 0.0f);
  place.load();
  CHECK(compare_equal(place.values(), planted));
  const quant::Planted back = quant::read_planted(place.path, place.gpt);
  CHECK(back.planting.scale == 32);
  CHECK(back.planting.one_signed == one_signed);
  CHECK(back.planting.channels == std::vector<Index>{1, 6});
  CHECK(back.planting.layers == std::vector<Index>{0, 1});
  CHECK(back.biases == place.planted.biases);
  CHECK(back.checksum == place.planted.checksum);
  quant::undo_planted(place.path, place.gpt);
  CHECK(compare_equal(place.values(), place.before));
}

TEST_CASE("a record that is damaged or of another version is refused by file and field") {
  struct Case {
    const char *from, *to, *says;
  };
  const Case cases[] = {
      {"{", "", "no valid JSON"},
      {"loglog planted", "loglog", "is no record of planted outliers"},
      {"\"version\": 1", "\"version\": 2", "has version 2"},
      {"\"scale\": 32.0", "\"scale\": 33.0", "scale 33 must be a power of two"},
      {"\"scale\": 32.0", "\"scale\": \"much\"", "'scale' is not a whole number"},
      {"\"one_signed\": false", "\"one_signed\": 0", "'one_signed' is not true or false"},
      {"\"one_signed\": false", "\"one_signed\": true", "planted.safetensors"},
      {"\"channels\": [", "\"channels\": [8,", "there is no channel 8: model.width is 8"},
      {"\"channels\": [", "\"channels\": [1,", "channel 1 is named twice"},
      {"\"channels\"", "\"dims\"", "'channels' is not a list"},
      {"\"layers\": [", "\"layers\": [7,", "there is no layer 7"},
      {"original_xxh3_128", "xxh3_128", "'original_xxh3_128' is not there"},
      {"\"scale\": 32.0", "\"scale\": 16.0", "are not those of before"},
      {"\"original_xxh3_128\": \"", "\"original_xxh3_128\": \"0", "are not those of before"},
  };
  for (const Case& c : cases) {
    Place place(false);
    place.change(c.from, c.to);
    place.refuses(c.says);
  }
}

TEST_CASE("a model that was changed since, and biases that are cut short or missing, are refused") {
  Place place(true);
  const std::string biases = read_text(place.path / quant::kPlantedTensors);
  place.write(quant::kPlantedTensors, biases.substr(0, biases.size() - 1));
  place.refuses("planted.safetensors");
  std::string other = biases;
  other.back() ^= 1;
  place.write(quant::kPlantedTensors, other);
  place.refuses("are not those of before");
  std::filesystem::remove(place.path / quant::kPlantedTensors);
  place.refuses("planted.safetensors");
  place.write(quant::kPlantedTensors, biases);
  place.load();
  place.gpt.values()[0] += 1;
  CHECK_THROWS_AS(quant::undo_planted(place.path, place.gpt), InputError);
  std::filesystem::remove(place.path / quant::kPlantedFile);
  place.refuses("nothing was planted in this model");
}
