"""Rules about the source tree that a compiler does not know: docs/architecture.md names them and why.

    python3 tests/structure/checks.py CHECK [ROOT] [BUILD]

prints what it finds, one line per violation, and returns 1 when there is any, or when there was nothing to examine.
"""
import json
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ANYTHING = {"bench", "docs", "tests"}  # programs beside the command line, exercises too, stand above all folders and are not drawn
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
INTRINSICS = re.compile(r"xsimd|(^|/)(\w*intrin|arm_neon|arm_sve)\.h")
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"', re.DOTALL)
PRINTS_OR_ENDS = re.compile(
    r"\bstd::(cout|cerr|clog)\b|(?<![\w.>])(?:std::|::)?(?:f?printf|puts|fputs|perror|abort|exit|_exit|quick_exit)\s*\("
    r"|\bfmt::print\b")
GETENV = re.compile(r"\b(?:getenv|temp_directory_path)\s*\(")
EXAMINED = ""  # a check yields this for each thing that it looks at, and a line for each violation
MAX_LINES = 500
MAX_FUNCTION_LINES = 60
CHARACTER = re.compile(r"'(?:\\.|[^'\\\n])'")
SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b")
AFTER_PARAMETERS = re.compile(r"\)\s*(?:const|noexcept|override|final|try|->\s*[\w:<>,*& ]+|\s)*$")


def sources(root, *patterns):
    """Our files under ROOT, never the build tree."""
    folders = ("kernels", "src", "tests", "bench", "cmake", "third_party", "configs", "docs", ".ci")
    found = [p for p in root.iterdir() if p.is_file()]
    for folder in folders:
        found += (root / folder).rglob("*")
    return sorted(p for p in set(found) if p.is_file() and any(p.match(pattern) for pattern in patterns))


def drawn_arrows(root):
    """{folder: folders that it includes}, from the block of lines 'FOLDER -> FOLDER, ...' of docs/architecture.md."""
    page = root / "docs/architecture.md"
    block = re.search(r"^```\n((?:[\w/]+ -> [\w/]+(?:, [\w/]+)*\n)+)```$", page.read_text() if page.exists() else "", re.MULTILINE)
    lines = [line.split(" -> ") for line in block[1].splitlines()] if block else []
    return {folder: [] if targets == "nothing" else targets.split(", ") for folder, targets in lines}


def layer_of(name, folders):
    """The one of FOLDERS that a file or an include belongs to: src/fit/laws.cpp and fit/laws.hpp are both of 'fit'."""
    parts = name.removeprefix("src/").split("/")
    if parts[:2] == ["kernels", "simd"]:
        return "kernels/simd"
    return parts[0] if len(parts) > 1 and (parts[0] in folders or parts[0] in ANYTHING) else None


def check_arrows(arrows, used):
    """What is drawn: each arrow goes down the list, so that there is no cycle, and somebody uses it."""
    below = set(arrows)
    for folder, targets in arrows.items():
        below.remove(folder)
        for target in targets:
            if target not in below:
                yield f"docs/architecture.md: {folder} -> {target}: {target} is not drawn below {folder}"
            if (folder, target) not in used:
                yield f"docs/architecture.md: {folder} -> {target} is drawn, but no file of {folder} includes one of {target}"
        if (folder, folder) not in used:
            yield f"docs/architecture.md: {folder} is drawn, but there is no such folder"


def check_layers(root):
    """Includes run along the arrows; intrinsics, the environment and the terminal stay where they belong."""
    allowed_calls, arrows = read_reasons(root / "tests/structure/allowed_calls.txt"), drawn_arrows(root)
    if not arrows:
        yield "docs/architecture.md: no block of lines 'FOLDER -> FOLDER, ...' between lines of ```"
        return
    used = set()
    for path in sources(root, "*.hpp", "*.cpp", "*.inc"):
        name, text = path.relative_to(root).as_posix(), path.read_text()
        yield EXAMINED
        layer = layer_of(name, arrows)
        if layer not in arrows and layer not in ANYTHING:
            yield f"{name}: its folder is not among the arrows of docs/architecture.md"
            continue
        used.add((layer, layer))
        for included in INCLUDE.findall(text):
            target = layer_of(included, arrows)
            used.add((layer, target))
            if INTRINSICS.search(included) and layer != "kernels/simd":
                yield f"{name}: includes {included}; intrinsics and xsimd end in kernels/simd"
            if layer in arrows and target not in (None, layer) and target not in arrows[layer]:
                yield f"{name}: includes {included}, but {layer} may use only: {', '.join(arrows[layer]) or 'nothing'}"
        if layer not in arrows:
            continue
        code = COMMENT_OR_TEXT.sub("", text)
        if GETENV.search(code) and name != "src/cli/main.cpp":
            yield f"{name}: reads the environment; only src/cli/main.cpp does"
        call = PRINTS_OR_ENDS.search(code)
        if call and layer != "cli" and name not in allowed_calls:
            yield f"{name}: '{call.group().strip()}': libraries neither print nor end the process"
    yield from check_arrows(arrows, used)


def read_reasons(path):
    """Lines 'FILE: REASON' of an exception list."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def check_file_sizes(root):
    """A hand-written file over 500 lines has its reason in long_files.txt."""
    reasons = read_reasons(root / "tests/structure/long_files.txt")
    lines_of_folder = {}
    for path in sources(root, "*.hpp", "*.cpp", "*.py", "*.sh", "*.cmake", "CMakeLists.txt", "run"):
        name, lines = path.relative_to(root).as_posix(), len(path.read_text().splitlines())
        folder = path.parent.relative_to(root).as_posix()
        yield EXAMINED
        lines_of_folder[folder] = lines_of_folder.get(folder, 0) + lines
        if lines > MAX_LINES and not reasons.get(name, "").strip():
            yield f"{name}: {lines} lines; split it, or give the reason in tests/structure/long_files.txt"
        if lines <= MAX_LINES and name in reasons:
            yield f"{name}: {lines} lines; its entry in tests/structure/long_files.txt is no longer needed"
    for name in reasons:
        if not (root / name).exists():
            yield f"{name}: in tests/structure/long_files.txt, but there is no such file"
    for folder, lines in sorted(lines_of_folder.items()):
        print(f"{lines:7d} lines  {folder}")


def keep_lines(match):
    return "\n" * match.group().count("\n")


def functions(text):
    """(first line, lines) of each function: a brace at namespace or class level behind ')' or what may follow one."""
    code = CHARACTER.sub("", COMMENT_OR_TEXT.sub(keep_lines, text))
    code = re.sub(r"^\s*#(?:.*\\\n)*.*$", keep_lines, code, flags=re.MULTILINE)
    scopes, head, line = [], "", 1  # scopes: (transparent, first line or None)
    for piece in re.findall(r"[{};\n]|[^{};\n]+", code):
        if piece == "\n":
            line, head = line + 1, head + " "
        elif piece == "{":
            outside = all(transparent for transparent, _ in scopes)
            # The head is empty behind an initialiser list such as ": a_{x} {".
            body = outside and bool(not head.strip() or AFTER_PARAMETERS.search(head))
            transparent = outside and not body and bool(SCOPE.search(head))
            scopes.append((transparent, line if body else None))
            head = ""
        elif piece == "}":
            _, first = scopes.pop() if scopes else (True, None)
            if first is not None:
                yield first, line - first + 1
            head = ""
        else:
            head = "" if piece == ";" else head + piece


def check_function_sizes(root):
    """No function over 60 lines."""
    for path in sources(root, "*.hpp", "*.cpp", "*.inc"):
        name = path.relative_to(root).as_posix()
        for first, lines in functions(path.read_text()) if name.startswith(("src/", "kernels/", "bench/")) else []:
            yield EXAMINED
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}:{first}: a function of {lines} lines; cut a part with a name of its own out of it"


# Spelled in pieces, so that this file passes its own check.
FORBIDDEN = [
    (re.compile("-f" "fast-math|-O" "fast|-march=" "native"), "flag that changes results or binds to one machine"),
    (re.compile(r"(?<![\w.$}])/(?:home|Users|root|work|mnt|scratch)/\w"), "path of one machine"),
    (re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b"), "unfinished"),
]


def check_forbidden_text(root):
    """No value-changing flags, no paths of one machine, nothing marked unfinished. Prose may name the flags."""
    patterns = ("*.hpp", "*.cpp", "*.inc", "*.py", "*.sh", "*.cmake", "*.txt", "*.toml", "*.json", "run")
    for path in sources(root, *patterns):
        name = path.relative_to(root).as_posix()
        if name.startswith("docs/results/") and path.suffix not in (".py", ".sh"):
            continue  # what programs wrote
        yield EXAMINED
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for pattern, why in FORBIDDEN:
                if pattern.search(line):
                    yield f"{name}:{number}: {why}: {line.strip()[:100]}"


# Keys of configurations that say what they are.
SELF_EXPLANATORY = ("name",)


def check_config_comments(root):
    """Every key of a configuration file is explained once: what it means, in which unit.

    The comment stands where the key is first set in its table: on its line, alone on the line above, or above the header of
    the table when it names the key. Repeated tables such as [[size]] count as one table. SELF_EXPLANATORY keys need none.
    """
    key, text_value = re.compile(r"^\s*([\w.-]+)\s*="), re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'')
    for path in sorted((root / "configs").rglob("*.toml")):
        table, above, about_table, seen = "", "", "", set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code, _, comment = text_value.sub("", line).partition("#")
            match = key.match(code)
            if code.strip().startswith("["):
                table, about_table = code.strip(), above
            elif match and match[1] not in SELF_EXPLANATORY and (table, match[1]) not in seen:
                yield EXAMINED
                seen.add((table, match[1]))
                if not comment.strip() and not above and not re.search(rf"\b{re.escape(match[1])}\b", about_table):
                    yield f"{path.relative_to(root).as_posix()}:{number}: no comment: {line.strip()}"
            above = above + comment.strip() + " " if comment.strip() and not code.strip() else ""


def compile_flags(root, build):
    """For a header the flags of its own source, else of one in its folder or the nearest one above, else of any."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"])
        if path.is_relative_to(root):
            # The source of several ISAs stands here several times; the last, the best, has the most vector flags.
            commands[path.relative_to(root).as_posix()] = (entry["directory"], shlex.split(entry["command"]))

    def flags_for(header):
        folder = header.rsplit("/", 1)[0]
        twins = [name for name in commands if name == header.replace(".hpp", ".cpp")]
        near = []
        while folder and not near:
            near = [name for name in commands if name.rpartition("/")[0] == folder]
            folder = folder.rpartition("/")[0]
        directory, words = commands[(twins or near or sorted(commands))[0]]
        while not words[0].rsplit("/", 1)[-1].startswith(("c++", "g++", "clang", "aarch64")):
            words = words[1:]  # a launcher such as ccache
        kept, skip = [], False
        for word in words:
            if word in ("-o", "-c", "-MF", "-MT"):
                skip = word != "-c"
            elif skip:
                skip = False
            elif not word.endswith(".cpp") and not word.startswith("-O") and word not in ("-MD", "-MMD"):
                kept.append(word)
        return directory, kept

    return flags_for


def first_in_its_source(header):
    """The build has compiled it alone already: its own source includes it before anything else."""
    source = header.with_suffix(".cpp")
    included = INCLUDE.search(source.read_text()) if source.exists() else None
    return included is not None and included.group(1).endswith(f"{header.parent.name}/{header.name}")


# Headers of intrinsics that only the compilers of one processor know.
PROCESSORS = {"kernels/simd/dot/x86.hpp": "x86_64", "kernels/simd/dot/neon.hpp": "aarch64",
              "kernels/simd/gemm_i8mm_tile.hpp": "aarch64"}


def check_headers_alone(root, build):
    """Each header compiles when it is all that a source includes."""
    flags_for = compile_flags(root, build)
    headers = [p for p in sources(root, "*.hpp") if not first_in_its_source(p)]

    def compile_alone(header):
        name = header.relative_to(root).as_posix()
        directory, flags = flags_for(name)
        if name in PROCESSORS:
            target = subprocess.run([flags[0], "-dumpmachine"], capture_output=True, text=True).stdout
            if not target.startswith(PROCESSORS[name]):
                return None  # examined by the same test of a build for its processor
        # clang calls a function of an anonymous namespace unused when nothing but its header is compiled.
        command = flags + ["-Wno-unused-function", "-fsyntax-only", "-x", "c++", "-"]
        result = subprocess.run(command, input=f'#include "{header}"\n', cwd=directory, capture_output=True, text=True)
        first = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr[:200])
        return EXAMINED if result.returncode == 0 else f"{name}: does not compile on its own: {first}"

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from (result for result in pool.map(compile_alone, headers) if result is not None)


CHECKS = {
    "layers": check_layers,
    "file_sizes": check_file_sizes,
    "function_sizes": check_function_sizes,
    "forbidden_text": check_forbidden_text,
    "config_comments": check_config_comments,
    "headers_alone": check_headers_alone,
}


def run_check(name, root, *build):
    """How many things the check examined, and the violations. One that examines nothing passes whatever is wrong."""
    results = list(CHECKS[name](root, *build))
    violations = [line for line in results if line != EXAMINED]
    if not results:
        violations.append(f"{name}: nothing to examine under {root}: the files are not where the check looks for them")
    return results.count(EXAMINED), violations


def main(arguments):
    if not arguments or arguments[0] not in CHECKS:
        print(f"usage: checks.py {'|'.join(CHECKS)} [ROOT] [BUILD]", file=sys.stderr)
        return 2
    root = Path(arguments[1] if len(arguments) > 1 else ".").resolve()
    build = [Path(arguments[2]).resolve()] if arguments[0] == "headers_alone" else []
    examined, violations = run_check(arguments[0], root, *build)
    print("\n".join(violations + [f"{arguments[0]}: {examined} examined, {len(violations)} violations"]))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
