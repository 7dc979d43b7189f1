/** The bars that stick to the window's edges. */
import {useEffect} from "preact/hooks";

/** Tells the style how high they are, so that the browser scrolls what gets the focus clear of them. Call it anew when one comes or goes. */
export function useBars(hasControls: boolean): void {
    useEffect(() => {
        const {style} = document.documentElement;
        const observer = new ResizeObserver((entries) => {
            for (const {target, borderBoxSize} of entries)
                style.setProperty(`--${target.className}-height`, `${borderBoxSize[0]?.blockSize ?? 0}px`);
        });
        for (const bar of document.querySelectorAll(".controls, .ask")) observer.observe(bar);
        return () => observer.disconnect();
    }, [hasControls]);
}
