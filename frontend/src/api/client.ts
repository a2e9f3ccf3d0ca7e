/** An answer that was no success: what is wrong, and what to do. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** The error an answer carries, whatever made it. */
export async function failure(response: Response): Promise<ApiError> {
  let kind = "http";
  let message = `the server answered ${response.status}`;
  let hint = "";
  try {
    const body = (await response.json()) as { error?: { kind?: string; message?: string; hint?: string } };
    kind = body.error?.kind ?? kind;
    message = body.error?.message ?? message;
    hint = body.error?.hint ?? hint;
  } catch {
    // not JSON: the status says it all
  }
  return new ApiError(response.status, kind, message, hint);
}
