"""Plants violations of each rule in a temporary tree; every one of them must be seen, and what is right must pass."""
import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import checks


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def found(self, check, *arguments):
        with contextlib.redirect_stdout(io.StringIO()):
            return [line for line in check(self.root, *arguments) if line != checks.EXAMINED]

    def assert_seen(self, check, name, text, part):
        path = self.write(name, text)
        self.assertIn(part, "\n".join(self.found(check)), f"{name} passed")
        path.unlink()
        self.assertEqual(self.found(check), [])


class Layers(Tree):
    ARROWS = ["cli -> fit, nn", "nn -> kernels", "fit -> base", "kernels/simd -> kernels", "kernels -> base", "base -> nothing"]

    def setUp(self):
        super().setUp()
        self.draw(self.ARROWS)
        self.write("src/cli/fit.cpp", '#include "fit/a.hpp"\n#include "nn/linear.hpp"\nfmt::print("{}", x);\n')
        self.write("src/nn/linear.cpp", '#include "nn/linear.hpp"\n#include "kernels/gemm.hpp"\n#include <vector>\n')
        self.write("src/fit/fit.cpp", '#include "base/check.hpp"\n')
        self.write("kernels/simd/tile.hpp", '#include "kernels/table.hpp"\n#include <immintrin.h>\n#include <xsimd/xsimd.hpp>\n')
        self.write("kernels/gemm.cpp", '#include "base/check.hpp"\n')
        self.write("src/base/check.hpp", "")
        self.write("tests/fit/test_fit.cpp", '#include "cli/fit.hpp"\n')

    def draw(self, lines):
        self.write("docs/architecture.md", "# Page\n\n```\ntext -> data (file) -> fit\n```\n\n```\n" + "\n".join(lines) + "\n```\n")

    def test_arrows(self):
        self.assertEqual(self.found(checks.check_layers), [])
        for name, include in [("src/fit/a.cpp", "nn/linear.hpp"), ("src/fit/a.cpp", "kernels/gemm.hpp"),
                              ("src/base/a.hpp", "fit/fit.hpp"), ("kernels/a.cpp", "nn/linear.hpp"),
                              ("kernels/a.cpp", "kernels/simd/tile.hpp"), ("src/nn/a.cpp", "base/check.hpp"),
                              ("src/fit/a.cpp", "cli/verb.hpp"), ("src/cli/a.cpp", "base/check.hpp"),
                              ("src/fit/a.cpp", "tests/support/catch.hpp"), ("src/fit/a.cpp", "bench/suites.hpp")]:
            self.assert_seen(checks.check_layers, name, f'  #  include "{include}"\n', include)

    def test_what_is_drawn(self):
        for change, part in [(("cli -> fit, nn", "cli -> fit, nn, base"), "cli -> base is drawn, but no file of cli"),
                             (("nn -> kernels", "nn -> kernels\nquant -> nothing"), "quant is drawn, but there is no such folder"),
                             (("base -> nothing", "base -> fit"), "base -> fit: fit is not drawn below base")]:
            self.draw([line.replace(*change) if line == change[0] else line for line in self.ARROWS])
            self.assertIn(part, "\n".join(self.found(checks.check_layers)))
        self.draw([line.replace(", ", " , ") for line in self.ARROWS])
        self.assertIn("no block of lines", "\n".join(self.found(checks.check_layers)))
        (self.root / "docs/architecture.md").unlink()
        self.assertIn("no block of lines", "\n".join(self.found(checks.check_layers)))

    def test_unknown_folder(self):
        self.assert_seen(checks.check_layers, "src/newcomer/a.cpp", "", "not among the arrows")
        self.assert_seen(checks.check_layers, "src/a.cpp", "", "not among the arrows")

    def test_intrinsics(self):
        for header in ("immintrin.h", "x86intrin.h", "arm_neon.h", "xsimd/xsimd.hpp"):
            self.assert_seen(checks.check_layers, "src/nn/a.cpp", f"#include <{header}>\n", "intrinsics")

    def test_environment(self):
        self.write("src/cli/main.cpp", 'auto isa = std::getenv("LOGLOG_ISA");\n')
        self.assert_seen(checks.check_layers, "src/cli/train.cpp", 'auto v = std::getenv("X");\n', "environment")
        self.assert_seen(checks.check_layers, "src/base/a.cpp", 'auto v = getenv("X");\n', "environment")
        self.assert_seen(checks.check_layers, "src/fit/a.cpp", "auto v = std::filesystem::temp_directory_path();\n", "environment")

    def test_printing_and_ending(self):
        self.write("src/fit/fine.cpp", '// exit(1) in a comment\nconst char* text = "printf(";\nloop.exit(); on_exit(x);\n')
        for call in ("std::cout << x;", "printf(x);", "std::fprintf(stderr, x);", "exit(1);", "std::abort();",
                     "::_exit(4);", "fmt::print(x);"):
            self.assert_seen(checks.check_layers, "src/fit/a.cpp", call, "neither print nor end")


class FileSizes(Tree):
    def test_long_file_needs_a_reason(self):
        for name in ("src/fit/a.cpp", "tests/fit/a.sh", ".ci/run"):
            self.assert_seen(checks.check_file_sizes, name, "\n" * 501, f"{name}: 501 lines")
        self.write("src/fit/a.cpp", "\n" * 501)
        self.write("tests/structure/long_files.txt", "# list\nsrc/fit/a.cpp: one table of constants\n")
        self.assertEqual(self.found(checks.check_file_sizes), [])
        self.write("src/fit/a.cpp", "\n" * 500)
        self.assertIn("no longer needed", "".join(self.found(checks.check_file_sizes)))

    def test_reason_must_not_be_empty(self):
        self.write("src/fit/a.cpp", "\n" * 501)
        self.write("tests/structure/long_files.txt", "src/fit/a.cpp: \n")
        self.assertIn("501 lines", "".join(self.found(checks.check_file_sizes)))


class FunctionSizes(Tree):
    def test_long_functions(self):
        for head in ("void f() {", "void f(int a,\n       int b) const noexcept {", "int A::f() try {",
                     "A::A() : b_{1}, c_(2) {", "auto f() -> std::vector<int> {", "struct A {\nvoid f() override {",
                     "template <class T>\nvoid f(struct stat s) const {"):
            text = "namespace a {\nconst char c = '{'; // {\n#define M {\n" + head + "\n@}}" + "}" * ("struct" in head[:6])
            self.write("src/fit/a.cpp", text.replace("@", "  a();\n" * 58))
            self.assertEqual(self.found(checks.check_function_sizes), [], head)
            self.assert_seen(checks.check_function_sizes, "src/fit/a.cpp", text.replace("@", "  a();\n" * 59), "of 61 lines")

    def test_what_is_no_function(self):
        self.write("src/fit/a.cpp", "struct A {\n" + "  int a();\n" * 70 + "};\nint t[] = {\n" + "  f(1),\n" * 70 + "};\n")
        self.assertEqual(self.found(checks.check_function_sizes), [])


class ForbiddenText(Tree):
    def test_flags_paths_and_marks(self):
        for name, text in [("CMakeLists.txt", "add_compile_options(-f" "fast-math)"), ("cmake/a.cmake", "-O" "fast"),
                           ("kernels/CMakeLists.txt", "-march=" "native"), ("src/fit/a.cpp", "// TO" "DO finish"),
                           ("tests/fit/a.cpp", 'open("/ho' 'me/me/file")'), ("tests/fit/a.sh", "cat /wo" "rk/a"),
                           (".ci/run", "cat /wo" "rk/a"), ("docs/results/a/a.sh", "# TO" "DO"), ("configs/a.toml", 'path = "/wo' 'rk/a.tok"')]:
            self.assert_seen(checks.check_forbidden_text, name, text + "\n", f"{name}:1")
        self.write("src/fit/a.cpp", '// network/ and ../shared/data are fine, so is "${HOME}/wo' 'rk/x"\n')
        self.assertEqual(self.found(checks.check_forbidden_text), [])


class ConfigComments(Tree):
    SIZES = "[[size]]\nname = 'a'\nlayers = 2\n\n[[size]]\nname = 'b'\nlayers = 3\n"

    def test_every_key(self):
        self.write("configs/models/a.toml", "[model]\nlayers = 2  # blocks\n# width of the residual stream\nwidth = 8\n")
        self.assertEqual(self.found(checks.check_config_comments), [])
        for folder in ("configs/models", "configs/sweeps", "configs"):
            for text, line in [("[model]\nlayers = 2\n", 2), ("# one\na = 1\nb = 2\n", 3), ("a = '#'\n", 1), ("a = 1  #\n", 1),
                               ("# one\n\na = 1\n", 3), ("# a\n[x]\na = 1\nb = 2\n", 4), ("[x]\na = 1  # one\n[y]\na = 2\n", 4)]:
                self.assert_seen(checks.check_config_comments, f"{folder}/b.toml", text, f"b.toml:{line}:")

    def test_once_per_table(self):
        self.write("configs/sweeps/a.toml", self.SIZES.replace("2", "2  # blocks"))
        self.write("configs/sweeps/b.toml", "# layers: blocks\n" + self.SIZES)
        self.assertEqual(self.found(checks.check_config_comments), [])
        self.assert_seen(checks.check_config_comments, "configs/sweeps/c.toml", self.SIZES, "c.toml:3:")
        self.assert_seen(checks.check_config_comments, "configs/sweeps/c.toml", self.SIZES.replace("3", "3  # blocks"), "c.toml:3:")


class HeadersAlone(Tree):
    def test_header_that_leans_on_another(self):
        source = self.write("src/fit/a.cpp", "")
        command = f"c++ -std=c++20 -o a.o -c {source}"
        self.write("compile_commands.json", json.dumps([{"directory": str(self.root), "file": str(source), "command": command}]))
        self.write("src/fit/a.hpp", "#pragma once\n#include <string>\nstd::string name();\n")
        self.assertEqual(self.found(checks.check_headers_alone, self.root), [])
        self.write("src/fit/c.hpp", "left to the compiler\n")
        self.write("src/fit/c.cpp", '#include "fit/c.hpp"\n#include <string>\n')
        self.assertEqual(self.found(checks.check_headers_alone, self.root), [])
        self.write("src/fit/c.cpp", '#include <string>\n#include "fit/c.hpp"\n')
        self.assertIn("src/fit/c.hpp", "".join(self.found(checks.check_headers_alone, self.root)))
        (self.root / "src/fit/c.hpp").unlink()
        self.write("src/fit/b.hpp", "#pragma once\nstd::string name();\n")
        self.assertIn("src/fit/b.hpp", "".join(self.found(checks.check_headers_alone, self.root)))


class NothingToExamine(Tree):
    def test_every_check_fails(self):
        self.write("build/compile_commands.json", "[]")
        self.write("README.md", "nothing that a check is about\n")
        for name in checks.CHECKS:
            with contextlib.redirect_stdout(io.StringIO()):
                examined, violations = checks.run_check(name, self.root, *[self.root / "build"] * (name == "headers_alone"))
            self.assertEqual(examined, 0, name)
            self.assertNotEqual(violations, [], name)


if __name__ == "__main__":
    unittest.main()
