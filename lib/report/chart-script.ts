/**
 * Runs in the page, as the source text of a function of the chart specs. Draws them in the theme's colours, anew when the theme
 * changes, and in light colours for the printer.
 */
export const chartScript = `(specs) => {
    const root = document.documentElement;
    const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
    const resolve = (value) => {
        if (typeof value === "string") return /^var\\(--[\\w-]+\\)$/.test(value) ? color(value.slice(4, -1)) : value;
        if (Array.isArray(value)) return value.map(resolve);
        if (value === null || typeof value !== "object") return value;
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item)]));
    };
    let drawn = [];
    const draw = () => {
        for (const chart of drawn) chart.destroy();
        Chart.defaults.color = color("--muted");
        Chart.defaults.borderColor = color("--line");
        Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
        Chart.defaults.font.size = 12;
        Chart.defaults.animation = false;
        Chart.defaults.maintainAspectRatio = false;
        Chart.defaults.plugins.legend.labels.usePointStyle = true;
        Chart.defaults.plugins.legend.labels.boxHeight = 7;
        drawn = specs.map(({id, config}) => new Chart(document.getElementById(id), resolve(config)));
    };
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("beforeprint", () => { root.dataset.theme = "light"; draw(); });
    addEventListener("afterprint", () => { delete root.dataset.theme; draw(); });
}`;
