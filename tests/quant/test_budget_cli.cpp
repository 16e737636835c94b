// loglog quantize --budget, and what eval and generate tell of int8 products, as a shell runs them.
#include <cmath>

#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using nlohmann::json;

namespace {

std::string at(const std::string& name) {
  return (trained_run().folder.path() / name).string();
}
const std::string& trained() {
  static const std::string path = trained_run().run.string();
  return path;
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

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t i = text.find(word); i != std::string::npos; i = text.find(word, i + 1)) ++found;
  return found;
}

double mean_of(const json& line, const char* what) {
  return line[what]["mean"].get<double>();
}

// A model with six channels so large that absmax int8 loses much.
const std::string& planted() {
  static const std::string folder = [] {
    const Outcome outcome = run(fmt::format("plant {} --dims 6 --scale 128 -o {}", trained(), at("planted")));
    REQUIRE(outcome.code == 0);
    return at("planted");
  }();
  return folder;
}

}  // namespace

TEST_CASE(
    "a budget has every site, layer and dimension, the same in each run and with any number of threads") {
  const std::string command = fmt::format(
      "quantize {} --budget --scheme absmax-vector --tokens 1280 --data {}", planted(), at("text.tok"));
  const Outcome outcome = run(command + " --json --threads 1");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(run(command + " --json --threads 1").out == outcome.out);
  CHECK(count(outcome.err, "memory (of ") == 1);
  json budget = json::parse(outcome.out), other = json_of(command + " --threads 2");
  other["threads"] = 1;
  CHECK(budget == other);
  CHECK(budget["scheme"] == "absmax-vector");
  CHECK(budget["tokens"] == 1280);
  CHECK(budget["window"] == 32);
  CHECK(budget["calibrated"] == false);
  CHECK(budget["loss"] ==
        json_of(fmt::format("eval {} --tokens 1280 --data {}", trained(), at("text.tok")))["loss"]);
  // Emulated, the whole model is the quantised one but for the order of sums.
  const double added = mean_of(budget["everything"], "alone"),
               compared = json_of(
                   fmt::format("quantize {} --compare --no-speed --schemes absmax-vector --tokens 1280 "
                               "--data {}",
                               planted(), at("text.tok")))["schemes"][1]["difference"]["mean"];
  CHECK(added > 0);
  CHECK(added == Approx(compared).epsilon(0.02));
  CHECK_FALSE(budget["everything"].contains("rest"));
  REQUIRE(budget["parts"].size() == 3);
  const json &sites = budget["parts"][0], &layers = budget["parts"][1], &dimensions = budget["parts"][2];
  REQUIRE(sites["lines"].size() == 4);
  CHECK(sites["by"] == "site");
  CHECK(sites["lines"][0]["site"] == "qkv");
  REQUIRE(layers["lines"].size() == 2);
  CHECK(layers["lines"][1]["layer"] == 1);
  CHECK(mean_of(layers["lines"][0], "rest") == mean_of(layers["lines"][1], "alone"));
  REQUIRE(dimensions["lines"].size() == 8);
  CHECK(dimensions["lines"][0]["dimension"].is_number());
  CHECK_FALSE(dimensions.contains("sum"));
  for (const json* part : {&sites, &layers}) {
    double sum = 0;
    for (const json& line : (*part)["lines"]) sum += mean_of(line, "alone");
    CHECK(mean_of(*part, "sum") == Approx(sum));
  }
  for (const json& part : budget["parts"])
    for (const json& line : part["lines"]) {
      INFO(line["name"]);
      for (const char* what : {"alone", "rest", "noise"})
        CHECK(line[what]["low"].get<double>() <= line[what]["high"].get<double>());
      for (const char* what : {"inputs", "weights"})
        CHECK(line[what]["ratio"].get<double>() ==
              Approx(line[what]["squares"].get<double>() / line[what]["predicted"].get<double>()));
    }
  // Planted channels are in the inputs of qkv and up: these are harmed, the inner sites are not.
  const auto alone = [&](std::size_t site) { return std::fabs(mean_of(sites["lines"][site], "alone")); };
  CHECK(std::max(alone(0), alone(2)) > 10 * std::max(alone(1), alone(3)));
}

TEST_CASE("a budget as text, of the parts that are asked for") {
  const std::string command = fmt::format("quantize {} --budget --tokens 320 ", trained());
  const Outcome outcome = run(command + "--by site --threshold 3");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(count(outcome.out, "\n") ==
        12);  // three of text, heading, everything, four sites and their sum, two empty
  CHECK_THAT(outcome.out,
             Contains("windows of 32 tokens") && Contains("LLM.int8() absmax: loss added to the ") &&
                 Contains("\neverything ") && Contains("\nattention_out ") && Contains("\nsum "));
  CHECK_THAT(outcome.out, !Contains("block 0") && !Contains("dimension 0"));
  CHECK_THAT(run(command + "--by site --scheme absmax-tensor").out, Contains("depends on the other tokens"));
  const json named = json_of(command + "--by dimension,layer --dims 3,40");
  REQUIRE(named["parts"].size() == 2);
  CHECK(named["parts"][0]["by"] == "dimension");
  REQUIRE(named["parts"][0]["lines"].size() == 5);  // 40 is one of the hidden layer's alone
  CHECK(named["parts"][0]["lines"][4]["name"] == "down dimension 40");
  CHECK(json_of(command + "--by dimension --top 3")["parts"][0]["lines"].size() == 12);
  const json seeded = json_of(command + "--by layer --seed 2"), usual = json_of(command + "--by layer");
  CHECK(mean_of(seeded["everything"], "alone") == mean_of(usual["everything"], "alone"));
  CHECK(mean_of(seeded["everything"], "noise") != mean_of(usual["everything"], "noise"));
}

TEST_CASE("calibration takes part in a budget") {
  const std::string command = fmt::format("quantize {} --budget --by site --tokens 640 --data {}", planted(),
                                          at("text.tok")),
                    calibrate = " --calibrate " + at("text.tok");
  const json smooth = json_of(command + " --scheme smoothquant" + calibrate),
             vector = json_of(command + " --scheme absmax-vector"), llm = json_of(command),
             kept = json_of(command + calibrate);
  CHECK(smooth["calibrated"] == true);
  CHECK(mean_of(smooth["everything"], "alone") < 0.5 * mean_of(vector["everything"], "alone"));
  CHECK(kept["everything"]["weights"]["squares"].get<double>() <
        llm["everything"]["weights"]["squares"].get<double>());
}

TEST_CASE("what a budget refuses, and how") {
  struct Case {
    std::string arguments, message;
  };
  const std::string command = "quantize " + trained() + " --budget ";
  const Case cases[] = {
      {command + "--scheme llm-int8-paper", "taken apart are schemes with both factors in int8"},
      {command + "--scheme weight-int4", "--budget --scheme weight-int4"},
      {command + "--scheme smoothquant", "needs --calibrate F.tok"},
      {command + "--compare", "excludes"},
      {command + "-o " + at("x"), "excludes"},
      {command + "--table bf16", "excludes"},
      {command + "--by heads", "heads"},
      {command + "--by dimension --dims 128", "no input of this model has a dimension 128: its width is 32"},
      {command + "--dims 3 --top 3", "excludes"},
      {command + "--by site --dims 3", "--by leaves them out"},
      {command + "--schemes absmax-row", "--compare"},
      {"quantize " + trained() + " --by site -o " + at("x"), "--budget"},
      {"quantize " + trained() + " --tokens 320 -o " + at("x"), "--compare or --budget"},
  };
  for (const Case& c : cases) {
    INFO(c.arguments);
    const Outcome outcome = run(c.arguments);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains(c.message));
    CHECK_FALSE(path_exists(at("x")));
  }
}

TEST_CASE("eval tells what int8 products saw, and both treatments of outliers") {
  const std::string data = " --data " + at("text.tok"),
                    quantised = "eval " + planted() + data + " --quantized";
  const json exact = json_of("eval " + planted() + data), plain = json_of(quantised);
  for (const char* key : {"float_rows", "int8_share", "run_time_dimensions"})
    CHECK_FALSE(exact.contains(key));
  CHECK(exact["perplexity"].get<double>() == Approx(std::exp(exact["loss"].get<double>())));
  CHECK(plain["float_rows"] == 0);
  CHECK(plain["calibrated_share"] == 0);
  CHECK(plain["run_time_outlier_share"].get<double>() > 0);
  CHECK(plain["int8_share"].get<double>() + plain["run_time_outlier_share"].get<double>() == Approx(1.0));
  CHECK(plain["run_time_dimensions"].get<int>() >= 6);
  CHECK_FALSE(plain.contains("calibrated"));
  const std::string compare =
      fmt::format("quantize {} --compare --no-speed --schemes llm-int8 --calibrate {} {}", planted(),
                  at("text.tok"), data);
  const json schemes = json_of(compare)["schemes"],
             both = json_of(quantised + " --calibrate " + at("text.tok"));
  for (const char* key : {"loss", "perplexity", "bits_per_byte", "int8_share", "calibrated_share",
                          "run_time_outlier_share", "run_time_dimensions"}) {
    INFO(key);
    CHECK(both[key] == schemes[1][key]);
    CHECK(both[key] == plain[key]);
    CHECK(both["calibrated"][key] == schemes[2][key]);
  }
  CHECK(both["calibrated"]["float_rows"].get<int>() > 0);
  CHECK(both["calibrated"]["loss"] != both["loss"]);
  // A folder that was calibrated is the second of the two.
  const std::string folder = at("calibrated");
  REQUIRE(run(fmt::format("quantize {} -o {} --calibrate {}", planted(), folder, at("text.tok"))).code == 0);
  const json opened = json_of("eval " + folder + data);
  for (const auto& [key, value] : both["calibrated"].items()) {
    INFO(key);
    CHECK(opened[key] == value);
  }
  const Outcome text = run(quantised + " --calibrate " + at("text.tok"));
  CHECK_THAT(text.out, Contains(fmt::format(", perplexity {:.4f}", plain["perplexity"].get<double>())) &&
                           Contains("outliers meet dequantised weights\n") &&
                           Contains("\ncalibrated: loss ") && Contains("float32 rows of weights") &&
                           Contains("% of products in int8"));
  CHECK_THAT(run("eval " + planted() + data).out, !Contains("int8"));
  CHECK(json_of("eval " + planted() + data + " --quantized=weight-int8")["float_rows"] == 0);
}

TEST_CASE("eval refuses a calibration that has nothing to say") {
  const std::string calibrate = " --calibrate " + at("text.tok"), folder = at("row");
  REQUIRE(run(fmt::format("quantize {} -o {}", trained(), folder)).code == 0);
  struct Case {
    std::string arguments, message;
  };
  const Case cases[] = {
      {"eval " + trained() + calibrate, "--quantized"},
      {"eval " + trained() + " --quantized=absmax-row" + calibrate,
       "--calibrate says nothing to scheme absmax-row"},
      {"eval " + trained() + " --quantized --precision bf16" + calibrate, "looks at a model in float32"},
      {"eval " + folder + " --quantized" + calibrate, "is quantised, by llm-int8: name the model"},
  };
  for (const Case& c : cases) {
    INFO(c.arguments);
    const Outcome outcome = run(c.arguments);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains(c.message));
  }
}

TEST_CASE("generate tells what int8 products saw, to people and in each sample's line") {
  const std::string command =
      "generate " + planted() + " --prompt 'the cat' --max-tokens 8 --temperature 0 --batch 2";
  const Outcome plain = run(command), text = run(command + " --quantized"),
                lines = run(command + " --quantized --json");
  REQUIRE(text.code == 0);
  CHECK_THAT(plain.err, !Contains("int8"));
  CHECK_THAT(text.err, Contains("% of products in int8, 0.000% in float32 by calibration, ") &&
                           Contains("% by outliers found at run time, in up to "));
  CHECK_THAT(text.out, !Contains("% of products"));
  for (const json& line : json_lines(lines.out)) {
    CHECK(line["int8_share"].get<double>() < 1);
    CHECK(line["run_time_outlier_share"].get<double>() > 0);
    CHECK(line["run_time_dimensions"].get<int>() >= 6);
  }
  for (const json& line : json_lines(run(command + " --json").out)) CHECK_FALSE(line.contains("int8_share"));
}
