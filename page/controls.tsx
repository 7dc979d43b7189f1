/** Which agents decide, and by what: everything here acts on the next token. */
import {type Combine, combines, type Settings} from "./settings.js";

export function Controls({settings, onChange}: {settings: Settings; onChange: (settings: Settings) => void}) {
    const {agents, combine, threshold} = settings;
    const change = (name: string, part: {takesPart?: boolean; weight?: number}) =>
        onChange({...settings, agents: agents.map((one) => (one.name === name ? {...one, ...part} : one))});
    return (
        <section class="controls" aria-label="Alignment">
            <fieldset>
                <legend>{agents.length > 1 ? "Agents and their weights" : "Agent"}</legend>
                {agents.map(({name, takesPart, weight}) => (
                    <div class="agent" key={name}>
                        <label>
                            <input
                                type="checkbox"
                                checked={takesPart}
                                onChange={({currentTarget}) => change(name, {takesPart: currentTarget.checked})}
                            />{" "}
                            {name}
                        </label>
                        {agents.length > 1 && (
                            <Slider
                                label={`Weight of ${name}`}
                                isLabelShown={false}
                                max={2}
                                step={0.05}
                                value={weight}
                                text={takesPart ? weight.toFixed(2) : "not asked"}
                                disabled={!takesPart}
                                onInput={(value) => change(name, {weight: value})}
                            />
                        )}
                    </div>
                ))}
                {agents.filter(({takesPart}) => takesPart).length > 1 && (
                    <label>
                        A token is taken{" "}
                        <select
                            value={combine}
                            onChange={({currentTarget}) =>
                                onChange({...settings, combine: currentTarget.value as Combine})
                            }
                        >
                            {Object.entries(combines).map(([value, text]) => (
                                <option value={value}>{text}</option>
                            ))}
                        </select>
                    </label>
                )}
            </fieldset>
            <Slider
                label="Threshold"
                max={1}
                step={0.01}
                value={threshold ?? 0.5}
                text={threshold?.toFixed(2) ?? "as trained"}
                onInput={(value) => onChange({...settings, threshold: value})}
            />
        </section>
    );
}

interface SliderFields {
    label: string;
    isLabelShown?: boolean;
    max: number;
    step: number;
    value: number;
    /** Stands behind the slider. */
    text: string;
    disabled?: boolean;
    onInput: (value: number) => void;
}

function Slider({label, isLabelShown = true, text, onInput, ...input}: SliderFields) {
    return (
        <span class="slider">
            <label>
                <span class={isLabelShown ? "" : "visually-hidden"}>{label} </span>
                <input
                    type="range"
                    min={0}
                    aria-valuetext={text}
                    {...input}
                    onInput={({currentTarget}) => onInput(Number(currentTarget.value))}
                />
            </label>{" "}
            <output>{text}</output>
        </span>
    );
}
