"""What a compiled program does, read from XLA's own text of it (`compiled.as_text()`)."""

import re
from collections import Counter

# An instruction: name, type, opcode, the rest. Types of several results are in brackets, without nested ones.
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\([^()]*(?:\([^()]*\)[^()]*)*\)|\S+) ([\w-]+)\((.*)$")
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
# What only names or regroups values. A call's, a loop's and a branch's own kernels are counted where they stand.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
_ATTEMPTS = re.compile(r'op_name="[^"/]+/while/body(?:/vmap\(\))?/while"')
_HOST = {"infeed", "outfeed", "send", "recv", "send-done", "recv-done"}
_HOST_MEMORY = re.compile(r"S\(5\)")


def _instructions(text: str) -> list[tuple[str, str, str]]:
    """Result type, opcode and the rest of every instruction."""
    return [match.groups()[1:] for line in text.splitlines() if (match := _INSTRUCTION.match(line))]


def computations(text: str) -> dict[str, str]:
    """The computations of a program by name."""
    found = {}
    for block in re.split(r"\n\n", text):
        if head := re.match(r"\s*(?:ENTRY )?%?([\w.-]+) \(", block):
            found[head[1]] = block
    return found


def double_precision(text: str) -> list[str]:
    """The opcodes that have a float64 result."""
    return [opcode for kind, opcode, _ in _instructions(text) if "f64[" in kind]


def library_calls(text: str) -> Counter[str]:
    """How often each function outside XLA is called for."""
    return Counter(_TARGET.findall(text))


def host_transfers(text: str) -> list[str]:
    """What waits for the host, calls it, or has a value in its memory."""
    found = [name for name in library_calls(text) if "callback" in name or "lapack" in name]
    return found + [op for kind, op, rest in _instructions(text) if op in _HOST or _HOST_MEMORY.search(kind + rest)]


def launches_of_attempt(text: str) -> int:
    """Kernels that an attempt of a chunk launches on a GPU, at least: a library's call counts as one.

    Attempts are the loop directly in the chunk's own loop that nobody knows the trips of: rare measures loop over the
    seeds there. Raises ValueError where there is no such loop.
    """
    loops = [line for line in text.splitlines() if " while(" in line and _ATTEMPTS.search(line)]
    loops = [line for line in loops if "known_trip_count" not in line]
    if len(loops) != 1:
        raise ValueError(f"{len(loops)} loops of attempts")
    return _launches_of(loops[0], computations(text))


def _launches_of(loop: str, all_of_them: dict[str, str]) -> int:
    names = re.findall(r"(?:condition|body)=%?([\w.-]+)", loop)
    return sum(_launches(name, all_of_them) for name in names)


def _launches(name: str, all_of_them: dict[str, str]) -> int:
    total = 0
    for _, opcode, rest in _instructions(all_of_them[name]):
        if opcode == "while":
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', rest)
            total += (int(trips[1]) if trips else 1) * _launches_of(rest, all_of_them)
        elif opcode in ("call", "conditional"):
            branches = re.search(r"branch_computations=\{([^}]*)\}", rest)
            called = re.findall(r"(?:to_apply|true_computation|false_computation)=%?([\w.-]+)", rest)
            called += re.findall(r"[\w.-]+", branches[1]) if branches else []
            total += max(_launches(each, all_of_them) for each in called)
        else:
            total += opcode not in _FREE
    return total
