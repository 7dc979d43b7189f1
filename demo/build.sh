#!/usr/bin/env bash
# Rebuilds demo/model.gguf and demo/agent.safetensors from a seed: bash demo/build.sh [SEED]
# Needs Node with this package's dev dependencies, Python 3.10 or later, and PyPI. Everything else lands in demo/build/.
set -euo pipefail
cd "$(dirname "$0")/.."
seed="${1:-7}"
work=demo/build
export OMP_NUM_THREADS=1 PYTHONHASHSEED=0

mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ]; then python3 -m venv "$work/venv"; fi
"$work/venv/bin/pip" install --quiet -r demo/train/requirements.txt
npx tsx demo/corpus.ts "$work" "$seed"
"$work/venv/bin/python" demo/train/build.py "$work" demo "$seed"
npx tsx demo/report.ts "$work"
npx tsx demo/check.ts "$work" demo/model.gguf
npx tsx lib/cli/mara.ts train student --model demo/model.gguf --agent demo/agent.safetensors \
    --prompts demo/prompts/train.jsonl --max-tokens 96 --decisions 3000 --seed 1 --threads 1 --gpu off
