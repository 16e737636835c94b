// The verb `plant`, by running the program on a model that it trained.
#include <nlohmann/json.hpp>

#include "io/safetensors.hpp"
#include "model/open_model.hpp"
#include "support/compare.hpp"
#include "support/program_folder.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

struct Place : ProgramFolder {
  nlohmann::json report(const std::string& arguments) const {
    const Outcome done = run(arguments + " --json");
    INFO(arguments << "\n" << done.err);
    REQUIRE(done.code == 0);
    return nlohmann::json::parse(done.out);
  }
};

std::string trained() {
  return trained_run().run.string();
}

std::string tokens() {
  return (trained_run().folder.path() / "text.tok").string();
}

std::vector<float> values_of(const Path& path) {
  const model::OpenedModel opened = model::open_model(path);
  model::Gpt gpt(opened.config.model, {1, 1});
  load_parameters(opened, gpt);
  return {gpt.values().begin(), gpt.values().end()};
}

}  // namespace

TEST_CASE("a planted model is evaluated, written out and read to the same bits; only its folder says more") {
  const Place place;
  const std::string planted = place.at("planted");
  const nlohmann::json report =
      place.report(fmt::format("plant {} --dims 6 --scale 128 -o {}", trained(), planted));
  CHECK(report["scale"] == 128);
  CHECK(report["one_signed"] == false);
  CHECK(report["layers"] == std::vector<int>{0, 1});
  CHECK(report["channels"].size() == 6);
  REQUIRE(report["least_rms"].size() == 6);
  for (const nlohmann::json& rms : report["least_rms"]) CHECK(rms.get<double>() > 6);
  CHECK_FALSE(compare_equal(values_of(planted), values_of(trained())));
  CHECK(read_text(planted + "/codec.json") == read_text(trained() + "/codec.json"));

  for (const char* precision : {"f32", "bf16"}) {
    const auto loss_of = [&](const std::string& path) {
      return place.report(fmt::format("eval {} --data {} --precision {}", path, tokens(), precision))["loss"];
    };
    CHECK(loss_of(planted) == loss_of(trained()));
  }
  const auto text_of = [&](const std::string& path) {
    return place.run(fmt::format("generate {} --prompt 'the cat' --max-tokens 20 --temperature 1", path)).out;
  };
  CHECK(text_of(planted) == text_of(trained()));
  CHECK(text_of(planted).size() > 10);
  REQUIRE(place.run(fmt::format("export {} -o {} --format hf", planted, place.at("hf"))).code == 0);
  REQUIRE(place.run(fmt::format("import {} -o {}", place.at("hf"), place.at("back"))).code == 0);
  CHECK(compare_equal(values_of(place.at("back")), values_of(planted)));
}

TEST_CASE("--undo gives the file of before, of both forms") {
  const Place place;
  REQUIRE(place.run(fmt::format("export {} -o {} --format hf", trained(), place.at("hf"))).code == 0);
  REQUIRE(place.run(fmt::format("import {} -o {}", place.at("hf"), place.at("plain"))).code == 0);
  for (const char* form : {"", "--one-signed"}) {
    INFO(form);
    const std::string planted = place.at("planted" + std::string(form)), back = planted + "-back";
    const Outcome done = place.run(fmt::format("plant {} --dims 7,19, --scale 64 --layers 1 {} -o {}",
                                               place.at("plain"), form, planted));
    INFO(done.err);
    REQUIRE(done.code == 0);
    CHECK_THAT(done.out, Contains("planted: channels 7, 19 x 64") && Contains("in block 1"));
    CHECK(place.run(fmt::format("eval {} --data {}", planted, tokens())).code == 0);
    CHECK(read_text(planted + "/model.safetensors") != read_text(place.at("plain/model.safetensors")));
    const nlohmann::json report = place.report(fmt::format("plant {} --undo -o {}", planted, back));
    CHECK(report["undone"] == true);
    CHECK(report["channels"] == std::vector<int>{7, 19});
    CHECK(list_directory(back).size() == list_directory(place.at("plain")).size());
    for (const char* file : {"/model.safetensors", "/config.toml"})
      CHECK(read_text(back + file) == read_text(place.at("plain") + file));
  }
}

TEST_CASE("which channels a count takes is drawn by --seed, and is the same again") {
  const Place place;
  int number = 0;
  const auto channels = [&](const std::string& options) {
    return place.report(fmt::format("plant {} --scale 2 {} -o {}", trained(), options,
                                    place.at(std::to_string(++number))))["channels"];
  };
  CHECK(channels("--dims 4") == channels("--dims 4 --seed 1"));
  CHECK(channels("--dims 4 --seed 2") != channels("--dims 4 --seed 1"));
  CHECK(channels("--dims 7,") == std::vector<int>{7});
  CHECK(channels("--dims 30,2") == std::vector<int>{2, 30});
  CHECK(channels("--dims 32").size() == 32);
  const auto note_of = [&](int count) {
    return place
        .run(fmt::format("plant {} --scale 2048 --dims {} -o {}", trained(), count,
                         place.at(std::to_string(++number))))
        .err;
  };
  CHECK(note_of(16) == "");
  CHECK_THAT(note_of(17), Contains("17 channels are more than the half of 32") && Contains("drawn of all"));
}

TEST_CASE("a scale of 1 plants nothing, and one that is too small for outliers is told") {
  const Place place;
  const Outcome one = place.run(fmt::format("plant {} --dims 3 --scale 1 -o {}", trained(), place.at("one")));
  CHECK(one.code == 0);
  CHECK(one.err == "");
  CHECK(compare_equal(values_of(place.at("one")), values_of(trained())));
  const Outcome two =
      place.run(fmt::format("plant {} --dims 5, --scale 2 -o {}", trained(), place.at("two")));
  CHECK(two.code == 0);
  CHECK_THAT(two.err, Contains("channel 5 may reach 6.0 in fewer than 6%"));
}

TEST_CASE("what cannot be planted is 2, what is no model or was never planted is 4, and nothing is left") {
  const Place place;
  const std::string out = place.at("out"), planted = place.at("planted");
  REQUIRE(place.run(fmt::format("plant {} --dims 2 --scale 8 -o {}", trained(), planted)).code == 0);
  const TrainedRun bare("--set model.bias=false --set train.steps=2"),
      rms("--set model.norm=rmsnorm --set train.steps=2");
  const TrainedRun none("--set model.norm=none --set train.steps=2");
  struct Case {
    std::string arguments;
    int code;
    const char* says;
  };
  const std::string plant = "plant " + trained() + " -o " + out;
  const auto plant_in = [&](const TrainedRun& run) { return "plant " + run.run.string() + " -o " + out; };
  const Case cases[] = {
      {plant + " --dims 6 --scale 3", 2, "scale 3 must be a power of two, from 1 to 2^127"},
      {plant + " --dims 6 --scale 0", 2, "power of two"},
      {plant + " --dims 6 --scale -2", 2, "power of two"},
      {plant + " --dims 6 --scale 1e30", 2, "power of two"},
      {plant + " --dims 6 --scale nan", 2, "power of two"},
      {plant + " --dims 6 --scale much", 2, "--scale"},
      // 2^126 x about 1 is a float32, an element of W divided by it is none.
      {plant + " --dims 6 --scale 85070591730234615865843651857942052864", 2, ".weight["},
      {plant + " --dims 6", 2, "--scale is missing: --dims and --scale say what to plant"},
      {plant + " --scale 2", 2, "--dims is missing: --dims and --scale say what to plant"},
      {plant + " --dims 0 --scale 2", 2, "0 channels: model.width is 32"},
      {plant + " --dims 33 --scale 2", 2, "33 channels: model.width is 32"},
      {plant + " --dims 3,32 --scale 2", 2, "there is no channel 32"},
      {plant + " --dims 3,-1 --scale 2", 2, "there is no channel -1"},
      {plant + " --dims 3,4,3 --scale 2", 2, "channel 3 is named twice"},
      {plant + " --dims 3,x --scale 2", 2, "'x' is no whole number"},
      {plant + " --dims 3.5 --scale 2", 2, "no whole number"},
      {plant + " --dims 99999999999999999999 --scale 2", 2, "no whole number"},
      {plant + " --dims , --scale 2", 2, "no whole number"},
      {plant + " --dims '' --scale 2", 2, "a name is missing"},
      {plant + " --dims 3,4 --seed 2 --scale 2", 2, "--seed draws channels, and --dims lists them"},
      {plant + " --dims 6 --seed -2 --scale 2", 2, "seed"},
      {plant + " --dims 6 --scale 2 --layers 2", 2, "there is no layer 2"},
      {plant + " --dims 6 --scale 2 --layers 1,1", 2, "layer 1 is named twice"},
      {plant + " --dims 6 --scale 2 --layer 1", 2, "did you mean '--layers'"},
      {plant + " --undo --scale 2", 2, "--undo"},
      {plant + " --undo", 4, "nothing was planted in this model"},
      {plant, 2, "--dims and --scale are missing"},
      {plant_in(bare) + " --dims 6 --scale 2 --one-signed", 2, "model.bias is false"},
      {plant_in(bare) + " --dims 6 --scale 2 --one-signed", 2,
       "trained with model.norm = layernorm and model.bias = true"},
      {plant_in(rms) + " --dims 6 --scale 2 --one-signed", 2, "model.norm is rmsnorm"},
      {plant_in(none) + " --dims 6 --scale 2", 2, "model.norm is none"},
      {plant_in(none) + " --dims 6, --scale 2", 2, "model.norm is none"},
      {"plant " + planted + " -o " + out + " --dims 6 --scale 2", 2, "--undo first"},
      {"plant " + place.at("absent") + " -o " + out + " --dims 6 --scale 2", 4, "is no model"},
      {"plant " + trained() + " -o " + planted + " --dims 6 --scale 2", 2, "is there already"},
      {"plant " + planted + " -o " + planted + " --undo", 2, "is there already"},
      {"plant " + trained() + " -o '' --dims 6 --scale 2", 2, "a name is missing"},
      {"plant " + trained() + " --dims 6 --scale 2", 2, "--out"},
  };
  for (const Case& c : cases) {
    const Outcome done = place.run(c.arguments);
    INFO(c.arguments << "\n" << done.err);
    CHECK(done.code == c.code);
    CHECK_THAT(done.err, Contains(c.says));
    CHECK(done.out == "");
    CHECK_FALSE(path_exists(out));
  }
}

TEST_CASE("a full disk leaves nothing, and help shows examples") {
  const Place place;
  CHECK(run_on_full_disk(place.folder.path(), fmt::format("plant {} --dims 3 --scale 2 --one-signed -o {}",
                                                          trained(), place.at("out")))
            .code == 1);
  CHECK(list_directory(place.folder.path()).empty());
  CHECK_THAT(place.run("plant --help").out, Contains("loglog plant runs/tiny --dims 6 --scale 128"));
}
