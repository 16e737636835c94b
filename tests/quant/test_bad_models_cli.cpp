// Models that no verb should go on with, or that lie where it cannot: what is not finite, a damaged codec.json, a folder of another
// program, memory that does not suffice.
#include <signal.h>

#include <limits>

#include "model/open_model.hpp"
#include "support/program_folder.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

using Place = ProgramFolder;

std::string trained() {
  return trained_run().run.string();
}

std::string tokens() {
  return (trained_run().folder.path() / "text.tok").string();
}

// The shared run as a model folder, with a NaN in this parameter where one is named.
void write_model(const std::string& folder, const std::string& bad = "") {
  const model::OpenedModel opened = model::open_model(trained());
  model::Gpt gpt(opened.config.model, {1, 1});
  load_parameters(opened, gpt);
  for (const model::NamedParameter& p : gpt.parameters())
    if (p.name == bad) p.tensor.value[1] = std::numeric_limits<float>::quiet_NaN();
  model::write_model_folder(real_file_system(), folder, opened.config, gpt, opened.tokenizer);
}

}  // namespace

TEST_CASE("a model that computes what is not finite is no source of a calibration, and is told") {
  const Place place;
  write_model(place.at("nan"), "blocks.0.attention.norm.gain");
  const std::string out = place.at("out"),
                    notice = "1 values are not finite, the first in 'blocks.0.attention.norm.gain'";
  for (const char* scheme : {"llm-int8", "smoothquant"}) {
    INFO(scheme);
    const Outcome done = place.run(
        fmt::format("quantize {} --scheme {} --calibrate {} -o {}", place.at("nan"), scheme, tokens(), out));
    CHECK(done.code == 5);
    CHECK_THAT(done.err, Contains("calibration: ") && Contains("are not finite, and nothing") &&
                             Contains("inputs of 'blocks.0.attention.qkv.weight'") &&
                             Contains("note: " + notice));
    CHECK_FALSE(path_exists(out));
  }
  const Outcome plain = place.run(fmt::format("quantize {} -o {}", place.at("nan"), out));
  CHECK(plain.code == 0);
  CHECK_THAT(plain.err, Contains("note: " + notice));
  CHECK_THAT(place.run(fmt::format("quantize {} -o {}", trained(), place.at("good"))).err,
             !Contains("not finite"));
  const Outcome planted =
      place.run(fmt::format("plant {} --dims 2, --scale 2 -o {}", place.at("nan"), place.at("planted")));
  CHECK(planted.code == 4);
  CHECK_THAT(planted.err, Contains("model.safetensors': " + notice));
  CHECK_FALSE(path_exists(place.at("planted")));
}

TEST_CASE("a damaged codec.json is found before anything is made of the model") {
  const Place place;
  write_model(place.at("plain"));
  REQUIRE(place.run(fmt::format("plant {} --dims 2 --scale 2 -o {}", place.at("plain"), place.at("planted")))
              .code == 0);
  const std::string out = place.at("out");
  for (const char* text : {"", "{\"kind\":", "{\"kind\":\"morse\"}"}) {
    std::ofstream(place.at("plain/codec.json")) << text;
    std::ofstream(place.at("planted/codec.json")) << text;
    for (const std::string& use :
         {"plant " + place.at("plain") + " --dims 2 --scale 2", "plant " + place.at("planted") + " --undo",
          "quantize " + place.at("plain"), "export --format hf " + place.at("plain")}) {
      INFO(use << " with " << text);
      const Outcome done = place.run(use + " -o " + out);
      CHECK(done.code == 4);
      CHECK_THAT(done.err, Contains("codec.json'"));
      CHECK(done.out == "");
      CHECK_FALSE(path_exists(out));
    }
  }
}

TEST_CASE("verbs that need a model of this program's say what makes one of a folder of Hugging Face") {
  const Place place;
  REQUIRE(place.run(fmt::format("export {} -o {} --format hf", trained(), place.at("hf"))).code == 0);
  const std::string out = place.at("out");
  for (const std::string& use : {"plant " + place.at("hf") + " --dims 2 --scale 2 -o " + out,
                                 "export " + place.at("hf") + " --format gguf -o " + out,
                                 "train --fork " + place.at("hf") + " --restart --out " + out}) {
    INFO(use);
    const Outcome done = place.run(use);
    CHECK(done.code == 2);
    CHECK_THAT(done.err,
               Contains("is a folder of Hugging Face: `loglog import '" + place.at("hf") + "' -o MODEL`"));
    CHECK_FALSE(path_exists(out));
  }
}

TEST_CASE("nothing is made in the folder of the model that is read") {
  const Place place;
  write_model(place.at("plain"));
  const std::size_t before = list_directory(place.at("plain")).size();
  for (const std::string& use : {std::string("plant --dims 2 --scale 2 "), std::string("quantize "),
                                 std::string("export --format hf ")}) {
    INFO(use);
    for (const char* out : {"plain/x", "plain/x/y", "other/../plain/x"}) {
      INFO(out);
      const Outcome done = place.run(use + place.at("plain") + " -o " + place.at(out));
      CHECK(done.code == 2);
      CHECK_THAT(done.err, Contains("would be in the input folder"));
    }
  }
  CHECK(list_directory(place.at("plain")).size() == before);
  CHECK(place.run("quantize " + place.at("plain") + " -o " + place.at("plain-int8")).code == 0);
}

TEST_CASE("memory that does not suffice is refused with need and limit, and no checkpoint is blamed") {
  const Place place;
  // 17 million parameters: 64 MiB, with what the optimiser keeps 192.
  const TrainedRun large(
      "--set model.width=768 --set model.layers=2 --set train.steps=1 --set train.batch=1 --set "
      "eval.tokens=64");
  const auto limited = [&](const std::string& arguments, int mib) {
    return place.run(arguments, fmt::format("ulimit -v {};", mib * 1024));
  };
  const std::string run = large.run.string(), out = place.at("out");
  const Outcome unmapped = limited("quantize " + run + " --threads 1 -o " + out, 150);
  INFO(unmapped.err);
  CHECK(unmapped.code == 6);
  CHECK_THAT(unmapped.err, Contains("not enough memory to map") && Contains("MiB of address space and") &&
                               Contains("are left of the limit") && !Contains("checkpoint is") &&
                               !Contains("no other checkpoint"));
  for (const std::string& use : {"plant " + run + " --dims 2 --scale 2 -o " + out,
                                 "eval " + run + " --threads 1", "outliers " + run + " --threads 1"}) {
    const Outcome done = limited(use, 220);
    INFO(use << "\n" << done.err);
    CHECK(done.code == 6);
    CHECK_THAT(done.err, Contains("not enough memory") || Contains("MiB of memory"));
  }
  CHECK_FALSE(path_exists(out));
}

TEST_CASE("a tensor of activations that memory does not hold is refused before it is read") {
  const Place place;
  const std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 100000), }";
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8);
  const std::string padded = head + std::string(117 - head.size(), ' ') + "\n";
  bytes += std::string("\x76\x00", 2) + padded;
  std::ofstream(place.at("huge.npy"), std::ios::binary) << bytes;
  std::filesystem::resize_file(place.at("huge.npy"), bytes.size() + 400'000'000'000ull);  // sparse
  const Outcome done = place.run("outliers --activations " + place.at("huge.npy"));
  INFO(done.err);
  CHECK(done.code == 6);
  CHECK_THAT(done.err, Contains("the largest tensor of") && Contains("needs 381469.7 MiB of memory"));
}

TEST_CASE("a signal that ends plant while it writes gives the signal's exit code, and nothing is left") {
  const Place place;
  const TrainedRun large(
      "--set model.width=768 --set model.layers=2 --set train.steps=1 --set train.batch=1 --set "
      "eval.tokens=64");
  const std::size_t before = list_directory(place.folder.path()).size();
  const Outcome done =
      place.run(fmt::format("plant {} --dims 2 --scale 2 -o {} & until grep -q 'SigCgt:.*[4-7c-f]...$' "
                            "/proc/$!/status; do :; done; kill -TERM "
                            "$!; wait $!",
                            large.run.string(), place.at("out")));
  INFO(done.err);
  CHECK(done.code == 128 + SIGTERM);
  CHECK(list_directory(place.folder.path()).size() == before);
}
