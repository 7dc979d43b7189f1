/** Refusals and failures in OpenAI's error format. */
import {MaraError, type MaraErrorCode, reasonOf} from "../errors.js";

interface ApiErrorDetails {
    /** The field of the request that is at fault, `messages[0].role`. */
    param?: string;
    /** A word for programs, such as `context_length_exceeded`. */
    code?: string;
    headers?: Record<string, string>;
}

const types: Record<number, string> = {
    401: "authentication_error",
    403: "permission_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error"
};

/** What a request is answered with when it cannot be honoured. */
export class ApiError extends Error {
    readonly status: number;
    readonly details: ApiErrorDetails;

    constructor(status: number, message: string, details: ApiErrorDetails = {}) {
        super(message);
        this.name = "ApiError";
        this.status = status;
        this.details = details;
    }

    /** `{error: {message, type, param, code}}` */
    get body(): {error: {message: string; type: string; param: string | null; code: string | null}} {
        const {param = null, code = null} = this.details;
        return {error: {message: this.message, type: types[this.status] ?? "invalid_request_error", param, code}};
    }

    /** The same about another field. */
    renamed(nameOf: (param: string) => string): ApiError {
        const {param} = this.details;
        if (param === undefined) return this;
        const name = nameOf(param);
        return new ApiError(
            this.status,
            this.message.replace(param, () => name),
            {...this.details, param: name}
        );
    }

    get response(): Response {
        return Response.json(this.body, {status: this.status, headers: this.details.headers ?? {}});
    }
}

/** Refuses a field by its name. */
export function refused(param: string, reason: string): ApiError {
    return new ApiError(400, `${param}: ${reason}`, {param, code: "unsupported_value"});
}

/** Codes of this package that are the request's fault. */
const ofTheRequest: readonly MaraErrorCode[] = ["INVALID_ARGUMENT"];

/** Whatever was thrown, as what the client is told. Internal reasons are for the log alone. */
export function toApiError(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    if (error instanceof MaraError) {
        const status = ofTheRequest.includes(error.code) ? 400 : 500;
        return new ApiError(status, error.message, {code: error.code});
    }
    return new ApiError(500, "The server failed; its log says why.", {code: "internal_error"});
}

/** For the log. */
export function fullReason(error: unknown): string {
    return error instanceof Error && error.stack !== undefined ? error.stack : reasonOf(error);
}
