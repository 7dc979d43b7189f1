/** PATCH /mara/generations/{id}: other settings for an answer that is being generated. */
import {z} from "zod";
import {ApiError} from "./api-error.js";
import {readBody} from "./body.js";
import type {Service} from "./service.js";

export const settingsSchema = z.strictObject({
    threshold: z.number().min(0).max(1).optional().describe("From the next token on."),
    enabled: z.boolean().optional().describe("false goes on plainly.")
});

export async function changeSettings(service: Service, request: Request, id: string): Promise<Response> {
    const {threshold, enabled} = await readBody(request, settingsSchema, service.options.maxBodyBytes);
    const {aligner} = service.engine;
    const slots = service.running.get(id);
    if (slots === undefined || aligner === undefined)
        throw new ApiError(404, "No aligned answer of this id is being generated", {code: "generation_not_found"});
    const settings = {...(threshold === undefined ? {} : {threshold}), ...(enabled === undefined ? {} : {enabled})};
    for (const {sequence} of slots) aligner.configure(settings, sequence);
    return Response.json({id, sequences: slots.size, ...settings});
}
