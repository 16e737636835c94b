// loglog quantize, and eval and generate of what it makes, as a shell runs them.
#include <signal.h>

#include <cmath>

#include "quant/scheme.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using nlohmann::json;

namespace {

std::string at(const std::string& name) {
  return (trained_run().folder.path() / name).string();
}

Outcome run(const std::string& arguments) {
  return run_program(trained_run().folder.path(), arguments);
}

json json_of(const std::string& arguments) {
  const Outcome outcome = run(arguments + " --json");
  INFO(arguments << "\n" << outcome.err);
  REQUIRE(outcome.code == 0);
  return json::parse(outcome.out);
}

// Quantises `model` (the shared run where it is empty) into a new folder, whose name it gives.
std::string quantized(const std::string& options, const std::string& model = "") {
  static int made = 0;
  const std::string out = at("quantized-" + std::to_string(made++));
  const Outcome outcome = run(
      fmt::format("quantize {} -o {} {}", model.empty() ? trained_run().run.string() : model, out, options));
  INFO(options << "\n" << outcome.err);
  REQUIRE(outcome.code == 0);
  return out;
}

double loss_of(const std::string& model, const std::string& options = "") {
  return json_of(fmt::format("eval {} --data {} {}", model, at("text.tok"), options))["loss"].get<double>();
}

std::string text_of(const std::string& model, const std::string& options = "") {
  const Outcome outcome = run(
      fmt::format("generate {} --prompt 'the cat 1 s' --temperature 0 --max-tokens 20 {}", model, options));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return outcome.out;
}

json manifest_of(const std::string& folder) {
  return json::parse(read_text(Path(folder) / "quantization.json"));
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t i = text.find(word); i != std::string::npos; i = text.find(word, i + 1)) ++found;
  return found;
}

// The shared run as a folder of Hugging Face.
const std::string& hf_folder() {
  static const std::string folder = [] {
    const Outcome outcome =
        run(fmt::format("export {} -o {} --format hf", trained_run().run.string(), at("hf")));
    REQUIRE(outcome.code == 0);
    return at("hf");
  }();
  return folder;
}

}  // namespace

TEST_CASE("all schemes are listed, without a model") {
  const Outcome text = run("quantize --list");
  CHECK(text.code == 0);
  const json list = json_of("quantize --list");
  REQUIRE(list.size() == quant::schemes().size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const quant::Scheme& s = quant::schemes()[i];
    CHECK(list[i] == json{{"name", s.name}, {"title", s.title}, {"depends_on_batch", s.depends_on_batch()}});
    CHECK_THAT(text.out, Contains(s.name) && Contains(s.title));
  }
  CHECK(count(text.out, "depends on the rest of its batch") == 4);  // two of a tensor, two as published
}

TEST_CASE("a quantised model has the loss and the text that quantising on the fly gives") {
  const std::string& trained = trained_run().run.string();
  const double exact = loss_of(trained);
  for (const char* scheme :
       {"llm-int8", "llm-int8-zeropoint-paper", "absmax-tensor", "bf16", "weight-int8"}) {
    INFO(scheme);
    const std::string folder = quantized(fmt::format("--scheme {}", scheme));
    const double loss = loss_of(folder);
    CHECK(loss == loss_of(trained, fmt::format("--quantized={}", scheme)));
    CHECK(loss != exact);
    CHECK(text_of(folder) == text_of(trained, fmt::format("--quantized={}", scheme)));
    CHECK(loss_of(folder, fmt::format("--quantized={}", scheme)) == loss);  // is what it is already
  }
  const std::string folder = quantized("");
  CHECK(manifest_of(folder)["scheme"]["name"] == "llm-int8");
  CHECK(loss_of(trained, "--quantized") == loss_of(folder));
  CHECK(loss_of(folder, "--quantized") == loss_of(folder));
  CHECK(loss_of(folder, "--threads 3") == loss_of(folder, "--threads 1"));
  CHECK(loss_of(folder) == Approx(exact).epsilon(0.01));
  CHECK(text_of(folder) == text_of(trained));
  // The run's own text is found without being named.
  CHECK(json_of("eval " + folder)["loss"] == json_of("eval " + folder + " --data " + at("text.tok"))["loss"]);
}

TEST_CASE("what was written is told, to people and to programs") {
  const std::string calibrate = "--calibrate " + at("text.tok");
  const json told = json_of(fmt::format("quantize {} -o {} --scheme llm-int8 --threshold 0.5 {} --table bf16",
                                        trained_run().run.string(), at("told"), calibrate));
  CHECK(told["model"] == at("told"));
  CHECK(told["scheme"] == "llm-int8");
  CHECK(told["table"] == "bf16");
  CHECK(told["bytes"].get<std::uintmax_t>() == std::filesystem::file_size(at("told/quantized.safetensors")));
  CHECK(told["float_rows"].get<int>() > 0);
  const Outcome text = run(fmt::format("quantize {} -o {}", trained_run().run.string(), at("told2")));
  CHECK(text.code == 0);
  CHECK_THAT(text.out,
             Contains("told2: LLM.int8() absmax, ") && Contains("0 rows of weights kept in float32"));
  CHECK(list_directory(at("told")).size() == 4);
}

TEST_CASE("options reach the file") {
  CHECK(manifest_of(quantized("--threshold 3.5"))["scheme"]["threshold"] == 3.5);
  CHECK(manifest_of(quantized("--scheme weight-int4 --group 32"))["scheme"]["group"] == 32);
  const std::string calibrate =
      fmt::format("--calibrate {} --calibration-tokens 4096 --calibration-share 0.25", at("text.tok"));
  const json smooth = manifest_of(quantized("--scheme smoothquant --alpha 0.75 " + calibrate));
  CHECK(smooth["scheme"]["migration"] == 0.75);
  CHECK(smooth["calibration"]["tokens"] == 4096);
  CHECK(smooth["calibration"]["share"] == 0.25);
  CHECK(smooth["calibration"]["data"] == json_of("eval " + trained_run().run.string())["checksum"]);
  CHECK_FALSE(manifest_of(quantized("")).contains("calibration"));
  std::uintmax_t last = std::numeric_limits<std::uintmax_t>::max();
  double last_loss = -1;
  for (const char* table : {"f32", "bf16", "int8"}) {
    INFO(table);
    const std::string folder = quantized(fmt::format("--table {}", table));
    CHECK(manifest_of(folder)["table"] == table);
    const std::uintmax_t bytes = std::filesystem::file_size(Path(folder) / "quantized.safetensors");
    CHECK(bytes < last);
    last = bytes;
    const double loss = loss_of(folder);
    CHECK(loss != last_loss);
    last_loss = loss;
  }
  // More of the weights stay float32 where a smaller share of positions suffices.
  const auto rows = [&](double share) {
    return json_of(fmt::format("quantize {} -o {} --threshold 1.5 --calibrate {} --calibration-share {}",
                               trained_run().run.string(), at(fmt::format("share-{}", share)), at("text.tok"),
                               share))["float_rows"]
        .get<int>();
  };
  CHECK(rows(0.01) > rows(0.5));
}

TEST_CASE("a folder of Hugging Face is a model: it is evaluated, continued and quantised where it lies") {
  const std::string& hf = hf_folder();
  const std::string& trained = trained_run().run.string();
  CHECK(loss_of(hf) == loss_of(trained));
  const auto tokens_of = [&](const std::string& model, const std::string& options) {
    const Outcome outcome = run(
        fmt::format("generate {} --tokens 116,104,101 --temperature 0 --max-tokens 12 {}", model, options));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return outcome.out;
  };
  CHECK(tokens_of(hf, "") == tokens_of(trained, ""));
  CHECK(loss_of(hf, "--quantized") == loss_of(trained, "--quantized"));
  CHECK(tokens_of(hf, "--quantized") == tokens_of(trained, "--quantized"));
  const std::string folder = quantized("--scheme zeropoint-vector --table int8", hf);
  CHECK(loss_of(folder) == loss_of(quantized("--scheme zeropoint-vector --table int8")));
  CHECK_FALSE(path_exists(Path(hf) / "quantization.json"));  // nothing is written there
}

TEST_CASE("schemes are compared on one text, float32 first") {
  const std::string command = fmt::format("quantize {} --compare --no-speed --calibrate {} --threshold 2 ",
                                          trained_run().run.string(), at("text.tok"));
  const Outcome first = run(command + "--json");
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(run(command + "--json").out == first.out);
  CHECK(run(command + "--json --threads 3").out != first.out);  // says how many there were
  const json all = json::parse(first.out);
  const double exact = loss_of(trained_run().run.string());
  CHECK(all["window"] == 32);
  CHECK(all["tokens"] == json_of("eval " + trained_run().run.string())["tokens"]);
  REQUIRE(all["schemes"][0]["scheme"] == "f32");
  CHECK(all["schemes"][0]["loss"].get<double>() == exact);
  CHECK_FALSE(all["schemes"][0].contains("difference"));
  std::vector<std::string> names;
  for (const json& line : all["schemes"]) {
    const auto name = line["scheme"].get<std::string>();
    INFO(name);
    names.push_back(name);
    CHECK(line["perplexity"].get<double>() == Approx(std::exp(line["loss"].get<double>())));
    CHECK(line["bits_per_byte"].get<double>() ==
          Approx(line["loss"].get<double>() / std::log(2.0)));  // bytes
    CHECK_FALSE(line.contains("tokens_per_s"));
    if (name == "f32") continue;
    const double mean = line["difference"]["mean"].get<double>();
    CHECK(mean == Approx(line["loss"].get<double>() - exact).margin(1e-12));
    CHECK(line["difference"]["low"].get<double>() <= mean);
    CHECK(mean <= line["difference"]["high"].get<double>());
    for (const char* rise : {"rise_per_token", "rise_per_byte"})  // of bytes, whose perplexities are one
      CHECK(line[rise]["mean"].get<double>() == Approx(std::expm1(mean)).margin(1e-15));
    if (!name.ends_with("+calibrated"))  // with this threshold most dimensions are kept in both forms
      CHECK(line["bytes"].get<std::size_t>() < all["schemes"][0]["bytes"].get<std::size_t>());
    const bool is_float_product = name == "bf16" || name.starts_with("weight-");
    CHECK(line.contains("int8_share") == !is_float_product);
    if (is_float_product) continue;
    const double share = line["int8_share"].get<double>();
    CHECK(share + line["calibrated_share"].get<double>() + line["run_time_outlier_share"].get<double>() ==
          Approx(1.0));
    const bool decomposes = name.starts_with("llm-int8") || name.starts_with("row-decomposition");
    CHECK((share < 1) == decomposes);
    CHECK((line["calibrated_share"].get<double>() > 0) == name.ends_with("+calibrated"));
  }
  std::vector<std::string> expected = {"f32"};
  for (const quant::Scheme& s : quant::schemes()) {
    expected.push_back(s.name);
    if (s.decomposes()) expected.push_back(s.name + "+calibrated");
  }
  CHECK(names == expected);
  // Losses are those of the models themselves.
  CHECK(all["schemes"][1]["loss"].get<double>() == loss_of(trained_run().run.string(), "--quantized=bf16"));
  CHECK(count(first.err, "memory (of ") == 1);

  const Outcome table = run(command + "--schemes absmax-vector,absmax-tensor");
  CHECK(table.code == 0);
  CHECK(count(table.out, "\n") == 9);  // two of text, heading and three lines, one of text, three empty
  CHECK(table.out.find("float32  ") < table.out.find("Int8 absmax vector-wise"));
  CHECK(table.out.find("Int8 absmax vector-wise") <
        table.out.find("Int8 absmax *"));  // as they were asked for
  CHECK_THAT(table.out, Contains("* a token's result depends on the other tokens of its pass") &&
                            Contains("windows of 32 tokens"));
  CHECK(count(table.err, "memory (of ") == 1);
  CHECK_THAT(run(command + "--schemes absmax-vector").out, !Contains("depends on the other"));
}

TEST_CASE("the text, the split and the seed of a comparison are the user's") {
  const std::string command =
      fmt::format("quantize {} --compare --no-speed --schemes absmax-tensor ", trained_run().run.string());
  const json usual = json_of(command), seeded = json_of(command + "--seed 2"),
             training = json_of(command + "--split train --tokens 6400 --data " + at("text.tok"));
  CHECK(seeded["schemes"][1]["loss"] == usual["schemes"][1]["loss"]);
  CHECK(seeded["schemes"][1]["difference"]["mean"] == usual["schemes"][1]["difference"]["mean"]);
  CHECK(seeded["schemes"][1]["difference"]["low"] != usual["schemes"][1]["difference"]["low"]);
  CHECK(training["tokens"] == 6400);
  CHECK(training["split"] == "train");
  const Outcome fast = run(fmt::format("quantize {} --compare --schemes absmax-tensor --tokens 320 --json",
                                       trained_run().run.string()));
  CHECK(fast.code == 0);
  for (const json& line : json::parse(fast.out)["schemes"]) {
    for (const char* what : {"prompt", "decode"}) {
      CHECK(line["tokens_per_s"][what].get<double>() > 0);
      CHECK((line["over_float32"][what] == 1) == (line["scheme"] == "f32"));
      CHECK(line["over_float32"][what].get<double>() > 0);
    }
  }
}

TEST_CASE("the rise of perplexity is told of a token, and of a byte under a name of its own") {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += i % 3 == 0 ? "\u00e9" : i % 7 == 0 ? "a\n" : "b ";
  const std::string file = trained_run().write("accents.txt", text), tokens = at("accents.tok");
  REQUIRE(run(fmt::format("data import {} -o {} --tokenizer chars", file, tokens)).code == 0);
  const std::string command =
      fmt::format("quantize {} --compare --no-speed --data {} --schemes absmax-tensor",
                  trained_run().run.string(), tokens);
  const json line = json_of(command)["schemes"][1];
  const double loss = line["loss"], bytes = loss / std::log(2.0) / line["bits_per_byte"].get<double>();
  REQUIRE(bytes > 1.1);  // of a token
  for (const char* end : {"mean", "low", "high"}) {
    const double nats = line["difference"][end];
    CHECK(line["rise_per_token"][end].get<double>() == Approx(std::expm1(nats)).epsilon(1e-9));
    CHECK(line["rise_per_byte"][end].get<double>() == Approx(std::expm1(nats / bytes)).epsilon(1e-9));
  }
  CHECK_THAT(run(command).out,
             Contains(fmt::format(" {:.4f} [", 100 * line["rise_per_token"]["mean"].get<double>())) &&
                 Contains(fmt::format(" {:.4f} ", 100 * line["rise_per_byte"]["mean"].get<double>())) &&
                 Contains("per byte %: of per-byte perplexity"));
}

TEST_CASE("a scheme that cannot be used is left out of a comparison, with the reason") {
  const std::string options = "--compare --no-speed --tokens 320 --schemes smoothquant,absmax-row";
  const Outcome without = run(fmt::format("quantize {} {}", trained_run().run.string(), options));
  CHECK(without.code == 0);
  CHECK_THAT(without.err, Contains("smoothquant is left out: it needs --calibrate"));
  CHECK_THAT(without.out, !Contains("SmoothQuant") && Contains("row-wise"));
  const Outcome alone = run(
      fmt::format("quantize {} --compare --no-speed --tokens 320 --table int8", trained_run().run.string()));
  CHECK(alone.code == 0);
  CHECK_THAT(alone.err, Contains("weight-int8 is left out: it needs --table f32 or bf16"));
  CHECK_THAT(alone.out, !Contains("Weights alone") && Contains("LLM.int8()"));
  const TrainedRun plain("--set model.norm=none --set train.steps=3");
  const Outcome normless =
      plain.use("quantize", options + " --calibrate " + (plain.folder.path() / "text.tok").string());
  CHECK(normless.code == 0);
  CHECK_THAT(normless.err, Contains("smoothquant is left out: it needs norms with gains"));
  const Outcome refused = plain.use(
      "quantize",
      fmt::format("-o {0}/out --scheme smoothquant --calibrate {0}/text.tok", plain.folder.path().string()));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("model.norm = none"));
  CHECK_FALSE(path_exists(plain.folder.path() / "out"));
}

TEST_CASE("what quantize refuses, and how") {
  const std::string done = quantized("--scheme absmax-row"), trained = trained_run().run.string(),
                    out = at("refused");
  const std::string by_row = done + "' is quantised, by absmax-row: name the model that it was made from";
  struct Case {
    std::string arguments;
    int code;
    std::string message;
  };
  const Case cases[] = {
      {"quantize", 2, "MODEL is missing"},
      {"quantize " + trained, 2, "-o OUT is missing"},
      {"quantize /absent -o " + out, 4, "/absent"},
      {"quantize " + at("text.tok") + " -o " + out, 4, "text.tok"},
      {"quantize " + trained + " -o " + done, 2, "is there already"},
      {"quantize " + done + " -o " + out, 2, "is quantised, by absmax-row"},
      {"quantize " + done + " --compare", 2, "is quantised, by absmax-row"},
      {"quantize " + trained + " -o " + out + " --scheme llm-int9", 2, "did you mean 'llm-int8'"},
      {"quantize " + trained + " -o " + out + " --scheme smoothquant", 2, "needs --calibrate F.tok"},
      {"quantize " + trained + " -o " + out + " --scheme absmax-row --threshold 5", 2,
       "--threshold says nothing to scheme absmax-row"},
      {"quantize " + trained + " -o " + out + " --alpha 0.5", 2, "--alpha says nothing to scheme llm-int8"},
      {"quantize " + trained + " -o " + out + " --scheme weight-int8 --group 32", 2, "--group says nothing"},
      {"quantize " + trained + " -o " + out + " --threshold 0", 2, "--threshold"},
      {"quantize " + trained + " -o " + out + " --threshold nan", 2, "--threshold"},
      {"quantize " + trained + " -o " + out + " --table f16", 2, "f16"},
      {"quantize " + trained + " -o " + out + " --scheme weight-int4 --table int8", 2,
       "scheme weight-int4 the weights alone: --table takes f32 or bf16"},
      {"quantize " + trained + " -o " + out + " --calibrate /absent", 4, "/absent"},
      {"quantize " + trained + " -o " + out + " --calibration-tokens 5", 2, "--calibrate"},
      {"quantize " + trained + " -o " + out + " --data " + at("text.tok"), 2, "--compare"},
      {"quantize " + trained + " -o " + out + " --no-speed", 2, "--compare"},
      {"quantize " + trained + " -o " + out + " --compare", 2, "excludes"},
      {"quantize " + trained + " --scheme llm-int8 --compare", 2, "excludes"},
      {"quantize " + trained + " --compare --schemes absmax-row,absmax-rows", 2, "did you mean 'absmax-row'"},
      {"quantize " + trained + " --compare --data /absent", 4, "/absent"},
      {"quantize " + trained + " -o " + out + " --shceme x", 2, "did you mean '--scheme'"},
      {"eval " + done + " --quantized=llm-int8", 2, "is quantised already, by absmax-row"},
      {"eval " + trained + " --quantized=llm-int9", 2, "did you mean 'llm-int8'"},
      {"generate " + trained + " --quantized=smoothquant", 2, "is calibrated with data"},
      {"export " + done + " -o " + out + " --format hf", 2, by_row},
      {"export " + done + " -o " + out + " --format gguf", 2, by_row},
      {"plant " + done + " -o " + out + " --dims 2 --scale 2", 2, by_row},
      {"plant " + done + " -o " + out + " --undo", 2, by_row},
      {"train --fork " + done + " --restart --out " + out, 2, by_row},
  };
  for (const Case& c : cases) {
    INFO(c.arguments);
    const Outcome outcome = run(c.arguments);
    CHECK(outcome.code == c.code);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains(c.message));
    CHECK_FALSE(path_exists(out));
  }
  CHECK_THAT(run("quantize --help").out, Contains("Examples:") && Contains("--calibrate"));
}

TEST_CASE("a quantised model that was cut off or altered is refused by name") {
  const std::string folder = quantized("");
  const Path tensors = Path(folder) / "quantized.safetensors";
  const std::string good = read_text(tensors);
  std::string altered = good;
  altered[altered.size() / 2] = static_cast<char>(altered[altered.size() / 2] ^ 4);
  for (const std::string& bad : {good.substr(0, good.size() - 4), altered}) {
    std::ofstream(tensors, std::ios::binary) << bad;
    for (const std::string& use :
         {"eval " + folder, "generate " + folder, "quantize " + folder + " --compare"}) {
      const Outcome outcome = run(use);
      CHECK(outcome.code == 4);
      CHECK_THAT(outcome.err, Contains("quantized.safetensors'") && Contains("checksum"));
    }
  }
}

TEST_CASE("a full disk leaves nothing") {
  const Path folder = trained_run().folder.path();
  const std::size_t before = list_directory(folder).size();
  const Outcome outcome =
      run_on_full_disk(folder, fmt::format("quantize {} -o {}", trained_run().run.string(), at("full")));
  CHECK(outcome.code == 1);
  CHECK(list_directory(folder).size() == before);
}

TEST_CASE("a stop signal ends quantize with its own exit code and leaves nothing") {
  std::string lines;
  for (int i = 0; i < 2'000'000; ++i) lines += fmt::format("line {}\n", i);
  const std::string text = trained_run().write("much.txt", lines);
  REQUIRE(run("data import " + text + " -o " + at("much.tok")).code == 0);
  std::filesystem::remove(text);
  const std::string all = "--calibrate " + at("much.tok") + " --calibration-tokens 1000000000 ";
  const std::size_t before = list_directory(trained_run().folder.path()).size();
  for (const auto& [options, name, number] :
       {std::tuple{"-o " + at("stopped") + " " + all, "TERM", SIGTERM},
        {"--compare --no-speed " + all, "HUP", SIGHUP},
        {"--compare --no-speed --split all --tokens 0 --data " + at("much.tok"), "TERM", SIGTERM}}) {
    INFO(options);
    const Outcome outcome = trained_run().use(
        "quantize",
        fmt::format("{} --threads 1 >{} & until grep -q 'SigCgt:.*[4-7c-f]...$' /proc/$!/status; do "
                    "sleep 0.02; done; kill -{} $!; wait $!",
                    options, at("written"), name));
    CHECK(outcome.code == 128 + number);
    CHECK(read_text(at("written")).empty());
    std::filesystem::remove(at("written"));
    CHECK(list_directory(trained_run().folder.path()).size() == before);
  }
}
