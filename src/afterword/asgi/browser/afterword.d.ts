/** Types of the browser module of Afterword. See docs/reference/browser.md. */

export type FeedbackValue = string | number | boolean | string[] | null;

/** What one type holds for one generation: a list for types of several labels, as `issue`. */
export type FeedbackState = Record<string, FeedbackValue | undefined>;

/** One statement, as the page's events carry it. */
export interface FeedbackDetail {
  /** The data ID, or null as long as only the token is known. */
  dataId: string | null;
  type: string;
  value: FeedbackValue;
  comment?: string;
  metadata?: Record<string, unknown>;
  /** Takes one label of a type of several labels back. */
  unset?: boolean;
  /** ISO 8601, UTC. */
  createdAt: string;
}

export interface SentDetail extends FeedbackDetail {
  /** The HTTP status. */
  status: number;
  pending: false;
}

export interface ErrorDetail extends FeedbackDetail {
  /** The HTTP status; 0 when there was no answer, or when the entry got too old. */
  status: number;
  /** True while it is kept and will be tried again, false when it was refused. */
  pending: boolean;
}

export interface RestoredDetail {
  dataId: string | null;
  state: FeedbackState;
}

export interface TrackOptions {
  /** Which of the token's data IDs; by default the one it is mainly about, its first. */
  dataId?: string;
  comment?: string;
  metadata?: Record<string, unknown>;
  /** Takes one label of a type of several labels back. */
  unset?: boolean;
  /** Where to post; by default the folder of the module. */
  endpoint?: string;
  /** Where the events are dispatched; by default `document`. */
  target?: Document | Element;
  /** Says on the console why something was not sent. */
  debug?: boolean;
}

/** `kept`: tried again later. `skipped`: said before on this page, too often, or incomplete. */
export type TrackOutcome = "sent" | "kept" | "refused" | "skipped";

/**
 * Sends a signal of the page's own, such as `track(token, "action", "saved")`: once a page life for
 * each (token, data ID, type, value), and at most 30 a minute. Never rejects.
 */
export function track(
  token: string,
  type: string,
  value: FeedbackValue,
  options?: TrackOptions,
): Promise<TrackOutcome>;

/** The element `<afterword-feedback>`. */
export class AfterwordFeedback extends HTMLElement {
  /** The feedback token; may be set later. Without one, the buttons are disabled. */
  get token(): string;
  set token(value: string | null | undefined);
  /** The attribute `data-id`, or the data ID the server named for the token. */
  get dataId(): string | null;
  set dataId(value: string | null | undefined);
  /** Where feedback is posted, always absolute and with a slash at its end. */
  get endpoint(): string;
  set endpoint(value: string | null | undefined);
}

declare global {
  interface HTMLElementTagNameMap {
    "afterword-feedback": AfterwordFeedback;
  }
  interface GlobalEventHandlersEventMap {
    "afterword:feedback": CustomEvent<FeedbackDetail>;
    "afterword:sent": CustomEvent<SentDetail>;
    "afterword:error": CustomEvent<ErrorDetail>;
    "afterword:restored": CustomEvent<RestoredDetail>;
  }
}
