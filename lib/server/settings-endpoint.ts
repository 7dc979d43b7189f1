/** PATCH /mara/generations/{id}: other settings for an answer that is being generated. */
import {ApiError} from "./api-error.js";
import {readBody} from "./body.js";
import {settingsSchema} from "./schemas/mara.js";
import type {Service} from "./service.js";

export async function changeSettings(service: Service, request: Request, id: string): Promise<Response> {
    const change = await readBody(request, settingsSchema, service.options.maxBodyBytes);
    const running = service.running.get(id);
    if (running?.isAligned !== true)
        throw new ApiError(404, "No aligned answer of this id is being generated", {code: "generation_not_found"});
    const sequences = running.change(change);
    return Response.json({id, sequences, ...change});
}
