// The verbs `import` and `export`, by running the program.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/foreign_models.hpp"
#include "formats/hf.hpp"
#include "model/open_model.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/program_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

struct Place : ProgramFolder {
  std::unique_ptr<model::Gpt> gpt;
  explicit Place(const model::ModelConfig& m = small_gpt2()) : gpt(filled_gpt(m)) {
    formats::export_hf(real_file_system(), at("theirs"), *gpt, nullptr, {});
  }
  std::vector<float> values_in(const std::string& name) const {
    model::Gpt back(gpt->config(), {1, 1});
    load_parameters(model::open_model(at(name)), back);
    return values_of(back);
  }
};

}  // namespace

TEST_CASE("import, export and import again keep every bit, through each format that is read") {
  const Place place;
  Outcome done = place.run(fmt::format("import {} -o {}", place.at("theirs"), place.at("ours")));
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  CHECK_THAT(done.out, Contains("2 layers of width 12, context 7, vocabulary 11"));
  CHECK_THAT(done.err, Contains("runs on token ids"));
  CHECK(compare_equal(place.values_in("ours"), values_of(*place.gpt)));

  for (const char* format : {"hf", "llmc"}) {
    const std::string there = place.at(format), back = std::string(format) + "-back";
    done = place.run(fmt::format("export {} -o {} --format {} --json", place.at("ours"), there, format));
    REQUIRE(done.code == 0);
    CHECK(nlohmann::json::parse(done.out)["architecture"] == "gpt2");
    done = place.run(fmt::format("import {} -o {} --json", there, place.at(back)));
    REQUIRE(done.code == 0);
    CHECK(nlohmann::json::parse(done.out)["config"]["width"] == 12);
    CHECK(compare_equal(place.values_in(back), values_of(*place.gpt)));
  }
  done = place.run(
      fmt::format("export {} -o {} --format gguf --dtype f16", place.at("ours"), place.at("x.gguf")));
  CHECK(done.code == 0);
  CHECK(read_text(place.at("x.gguf")).starts_with("GGUF"));
}

TEST_CASE("what is wrong with the question is 2, what is wrong with a file is 4, and both are said") {
  const Place place;
  REQUIRE(place.run(fmt::format("import {} -o {}", place.at("theirs"), place.at("ours"))).code == 0);
  write_atomically(real_file_system(), place.at("pickle.pt"), std::string_view("PK\x03\x04 and more"));
  write_atomically(real_file_system(), place.at("x.gguf"), std::string_view("GGUF and more"));
  write_atomically(real_file_system(), place.at("short.bin"), std::string_view("abc"));
  real_file_system().create_directories(place.at("empty"));
  std::filesystem::create_symlink(place.at("ours/config.toml"), place.at("link"));
  struct Case {
    std::string arguments;
    int code;
    const char* says;
  };
  const std::string out = " -o " + place.at("out"), ours = place.at("ours");
  const Case cases[] = {
      {"import " + place.at("absent") + out, 4, "there is no"},
      {"import " + place.at("pickle.pt") + out, 4, "is a pickle"},
      {"import " + place.at("x.gguf") + out, 4, "written only"},
      {"import " + place.at("short.bin") + out, 4, "magic at byte 0"},
      {"import " + place.at("theirs/model.safetensors") + out, 4, "name the folder"},
      {"import " + place.at("empty") + out, 4, "config.json"},
      {"import " + place.at("theirs") + " -o " + ours, 2, "is there already"},
      {"import " + place.at("theirs"), 2, "--out"},
      {"export " + place.at("absent") + out + " --format hf", 4, "is no model"},
      {"export " + ours + out + " --format onnx", 2, "onnx"},
      {"export " + ours + out, 2, "--format"},
      {"export " + ours + out + " --format hf --dtype f16", 2, "takes f32 or bf16"},
      {"export " + ours + out + " --format gguf --dtype bf16", 2, "takes f32 or f16"},
      {"export " + ours + out + " --format hf --architecture llama", 2,
       "model.norm is layernorm, there it is rmsnorm"},
      {"export " + ours + out + " --format llmc --architecture gpt2", 2, "--architecture is for --format hf"},
      {"export " + ours + out + " --format hf --shard-bytes 0", 2, "shard-bytes"},
      {"export " + ours + out + " --format gguf --shard-bytes 1000", 2, "--shard-bytes is for --format hf"},
      {"export " + ours + " -o '' --format gguf", 2, "a name is missing"},
      {"import " + place.at("theirs") + " -o ''", 2, "a name is missing"},
      {"import " + place.at("theirs") + " -o " + std::string(300, 'x'), 2, "too long"},
      {"export " + ours + " -o " + std::string(300, 'x') + " --format gguf", 2, "too long"},
      {"export " + ours + " -o " + ours + "/model.safetensors --format gguf", 2, "choose another name"},
      {"export " + ours + " -o " + place.at("link") + " --format llmc", 2, "choose another name"},
      {"export " + ours + " -o " + place.at("theirs") + " --format hf", 2, "is there already"},
      {"export " + ours + " -o " + place.at("absent/x.bin") + " --format llmc", 1, "absent"},
  };
  for (const Case& c : cases) {
    const Outcome done = place.run(c.arguments);
    INFO(c.arguments << "\n" << done.err);
    CHECK(done.code == c.code);
    CHECK_THAT(done.err, Contains(c.says));
    CHECK(done.out == "");
    CHECK_FALSE(path_exists(place.at("out")));
  }
}

// Each with all three formats, and `generate`: exit 4, the file by its name, and nothing that is left.
TEST_CASE(
    "a codec.json that is damaged, of an unknown kind or of another model is refused before anything is "
    "written") {
  const Place place;
  REQUIRE(place.run(fmt::format("import {} -o {}", place.at("theirs"), place.at("ours"))).code == 0);
  std::string many = R"({"kind":"chars","code_points":[0)";
  for (int i = 1; i < 12; ++i) many += fmt::format(",{}", i);
  const std::string deep = std::string(80'000, '[') + std::string(80'000, ']');
  const std::pair<std::string, const char*> cases[] = {
      {"{", "no JSON"},
      {"", "no JSON"},
      {"[1]", "codec.json"},
      {R"({"kind":"words"})", "kind 'words'"},
      {R"({"kind":"bpe","tokenizer_json":"{}"})", "it has no 'model'"},
      {R"({"kind":"bytes"})", "256 tokens, the model has 11"},
      {many + "]}", "12 tokens, the model has 11"},
      {R"({"kind":"bytes","x":)" + deep + "}", "levels"},
  };
  for (const auto& [text, says] : cases) {
    write_atomically(real_file_system(), place.at("ours/codec.json"), text);
    for (const char* use : {"export OURS -o OUT --format hf", "export OURS -o OUT --format gguf",
                            "export OURS -o OUT --format llmc", "generate OURS --prompt x --max-tokens 1"}) {
      std::string arguments = use;
      for (const auto& [word, name] : {std::pair("OURS", "ours"), {"OUT", "out"}})
        if (const std::size_t at = arguments.find(word); at != std::string::npos)
          arguments.replace(at, std::string_view(word).size(), place.at(name));
      const Outcome done = place.run(arguments);
      INFO(arguments << "\n" << text.substr(0, 80) << "\n" << done.err);
      CHECK(done.code == 4);
      CHECK_THAT(done.err, Contains("codec.json'") && Contains(says));
      CHECK_FALSE(path_exists(place.at("out")));
    }
  }
  write_atomically(real_file_system(), place.at("ours/codec.json"), std::string_view(R"({"kind":"ids"})"));
  CHECK(place.run(fmt::format("export {} -o {} --format hf", place.at("ours"), place.at("out"))).code == 0);
}

TEST_CASE("a configuration that its tensors do not bear out is refused before memory is taken for it") {
  const Place place;
  REQUIRE(place.run(fmt::format("import {} -o {}", place.at("theirs"), place.at("ours"))).code == 0);
  std::string config = read_text(place.at("ours/config.toml"));
  const std::size_t at = config.find("vocab = 11");
  REQUIRE(at != std::string::npos);
  config.replace(at, 10, "vocab = 16777216");
  write_atomically(real_file_system(), place.at("ours/config.toml"), config);
  for (const std::string& use : {"export " + place.at("ours") + " -o " + place.at("out") + " --format gguf",
                                 "generate " + place.at("ours") + " --tokens 1 --max-tokens 1"}) {
    // 16777216 x 12 floats have 768 MiB.
    const Outcome done = run_program(place.folder.path(), use, "ulimit -v 600000;");
    INFO(use << "\n" << done.err);
    CHECK(done.code == 4);
    CHECK_THAT(done.err, Contains("'embedding.token' is [11,12], the model has [16777216,12]"));
    CHECK_FALSE(path_exists(place.at("out")));
  }
}

TEST_CASE("what is written on a full disk, or until a signal comes, leaves nothing that is in the way") {
  const Place place;
  const std::string import = fmt::format("import {} -o {}", place.at("theirs"), place.at("ours"));
  const auto names = [&] { return list_directory(place.folder.path()); };
  CHECK(run_on_full_disk(place.folder.path(), import).code == 1);
  CHECK(names() == std::vector<std::string>{"theirs"});
  REQUIRE(place.run(import).code == 0);
  for (const char* format : {"hf", "gguf", "llmc"}) {
    INFO(format);
    const std::string out = place.at("out");
    CHECK(run_on_full_disk(place.folder.path(),
                           fmt::format("export {} -o {} --format {}", place.at("ours"), out, format))
              .code == 1);
    CHECK(names().size() == 2);
  }
  // The export waits in the pipe for a reader, which comes after the signal.
  const std::string script = fmt::format(
      "mkfifo {0}/pipe; {1} export {0}/ours -o {0}/pipe --format llmc 2>{0}/err & pid=$!; tries=0\n"
      "until [ $((0x$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/$pid/status) & 0x4000)) -ne 0 ]; do\n"
      "  sleep 0.01; tries=$((tries + 1)); [ $tries -lt 1000 ] || exit 99\ndone\n"
      "kill -TERM $pid; cat {0}/pipe >{0}/read; wait $pid",
      place.folder.path().string(), LOGLOG_PROGRAM);
  write_atomically(real_file_system(), place.at("script"), script);
  const int status = std::system(("sh " + place.at("script")).c_str());
  CHECK(WEXITSTATUS(status) == 75);
  CHECK_THAT(read_text(place.at("err")), Contains("stopped by a signal before") && Contains("pipe"));
}

TEST_CASE("an output whose name is not UTF-8 is made, and shown with U+FFFD") {
  const Place place;
  Outcome done = place.run(fmt::format("import {} -o {} --json", place.at("theirs"), place.at("caf\xe9")));
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  CHECK_THAT(nlohmann::json::parse(done.out)["model"].get<std::string>(), Contains("caf\ufffd"));
  done = place.run(
      fmt::format("export {} -o {} --format gguf --json", place.at("caf\xe9"), place.at("\xe9.gguf")));
  REQUIRE(done.code == 0);
  CHECK_THAT(nlohmann::json::parse(done.out)["out"].get<std::string>(), Contains("\ufffd.gguf"));
}

TEST_CASE("a folder that is there and empty is filled, also where it is the one that the user works in") {
  const Place place;
  real_file_system().create_directories(place.at("here"));
  const std::string from = fmt::format("cd {} &&", place.at("here"));
  const Outcome done =
      run_program(place.folder.path(), fmt::format("import {} -o .", place.at("theirs")), from);
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  CHECK(compare_equal(place.values_in("here"), values_of(*place.gpt)));
  CHECK(list_directory(place.at("here")).size() == 2);
}

TEST_CASE("a run of training keeps its tokenizer and is exported from its newest checkpoint") {
  const TemporaryFolder folder;
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const auto run = [&](const std::string& arguments) {
    const Outcome done = run_program(folder.path(), arguments);
    INFO(arguments << "\n" << done.err);
    REQUIRE(done.code == 0);
    return done;
  };
  std::string text,
      config = "[model]\nlayers = 1\nwidth = 8\nheads = 2\ncontext = 8\n[train]\nbatch = 2\nsteps = 3\n";
  for (int i = 0; i < 3000; ++i) text += fmt::format("{}{}", i * i % 1009, i % 7 == 6 ? '\n' : ' ');
  write_atomically(real_file_system(), at("t.txt"), text);
  write_atomically(real_file_system(), at("c.toml"), config);
  run(fmt::format("data import {} -o {}", at("t.txt"), at("t.tok")));
  run(fmt::format("train --config {} --out {} --set data.path={}", at("c.toml"), at("run"), at("t.tok")));
  CHECK(nlohmann::json::parse(read_text(at("run/codec.json"))) == nlohmann::json{{"kind", "bytes"}});
  const Outcome out = run(fmt::format("export {} -o {} --format hf --json", at("run"), at("hf")));
  CHECK(nlohmann::json::parse(out.out)["step"] == 3);
  CHECK_THAT(out.err, Contains("kind bytes"));

  const model::OpenedModel opened = model::open_model(at("run"));
  model::Gpt gpt(opened.config.model, {1, 1});
  load_parameters(opened, gpt);
  CHECK(compare_equal(values_of(*formats::import_hf(at("hf")).gpt), values_of(gpt)));
}

TEST_CASE("help shows examples") {
  const TemporaryFolder folder;
  CHECK_THAT(run_program(folder.path(), "import --help").out, Contains("loglog import pythia-14m"));
  CHECK_THAT(run_program(folder.path(), "export --help").out, Contains("--format gguf --dtype f16"));
}
