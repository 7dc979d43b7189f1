"""python3 -m unittest discover bench/gpu. What of the benchmark can be tested without a GPU."""
import pathlib
import subprocess
import sys
import unittest

import report

CEILINGS = {"memory_gb_s": 3000.0, "l2_gb_s": 6000.0, "matrix_tflops": 600.0}


class Report(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(report.weight_bytes(4096, "bf16"), 2 * (4096 * 1024 + 1024 * 256 + 512))
        self.assertEqual(report.operations(2048, 3), 6 * (2048 * 1024 + 1024 * 256 + 512))
        floor = report.floors(4096, 40, "bf16", CEILINGS, evicted=True)
        self.assertAlmostEqual(floor["read"], (8913920 + 655360) / 3000e9 * 1e6)
        self.assertAlmostEqual(floor["multiply"], 40 * 2 * 4456960 / 600e12 * 1e6)

    def test_targets(self):
        good = {(4096, 40, "L2"): {"kernel": 9.0, "eager": 46.0, "graph": 18.5}, (4096, 1, "evicted"): {"kernel": 5.9}}
        met = {text.strip(): met for text, _, _, met in report.judge(good, CEILINGS)}
        self.assertEqual([met[key] for key in list(met)[:3]], [True, True, True])
        self.assertEqual([value for key, value in met.items() if key.startswith("D=4096 K=1, evicted")], [True])
        self.assertEqual([value for key, value in met.items() if key.startswith("D=2048 K=1")], [None, None])
        bad = {(4096, 40, "L2"): {"kernel": 10.1, "eager": 46.0, "graph": 18.5}}
        self.assertEqual([met for _, _, _, met in report.judge(bad, CEILINGS)][:3], [False, False, False])

    def test_summary(self):
        results = {(2048, 8, "L2"): {"kernel": 5.0, "eager": 60.0, "compile": None, "graph": 15.0}}
        text = report.summary("some GPU", [("memcheck", "not installed", None), ("against float64", "worst 1e-3", True)], results, CEILINGS)
        self.assertRegex(text, r"D=2048 K=8 L2 \| +5\.0 \|.*60\.0 \| +12\.0 \| +- \| +- \| +15\.0 \| +3\.0")
        self.assertRegex(text, r"memcheck +\| not run")
        lines = [line for line in text.splitlines() if line.startswith("|")]
        self.assertTrue(all(line.endswith("|") for line in lines))

    def test_says_what_is_missing(self):
        """On a machine without torch or without a GPU the script ends with one clear line."""
        bench = pathlib.Path(__file__).with_name("bench.py")
        done = subprocess.run([sys.executable, str(bench), "--dry-run"], capture_output=True, text=True)
        if done.returncode == 0:
            self.assertIn("ready", done.stdout)
        else:
            self.assertRegex(done.stderr, r"^bench/gpu: (torch is not installed|PyTorch finds no CUDA device|there is no nvcc)[^\n]*\n$")


if __name__ == "__main__":
    unittest.main()
